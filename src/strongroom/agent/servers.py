"""The servers this agent looks after: name -> conninfo and source, in a file of mode 0600."""

import re
from pathlib import Path
from typing import Literal, get_args

import msgspec

from strongroom.agent.private_file import Stamp, locked, read_private, stamp_of, write_private
from strongroom.model.errors import Conflict, Invalid, NotFound
from strongroom.postgres.server.connect import Conninfo

_NAME = re.compile(r"[-a-zA-Z0-9]{3,63}")
Source = Literal["auto", "stream", "disk"]  # what files are read from; auto: the disk if it can be


class Kept(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One server as the file holds it."""

    conninfo: str
    source: Source = "auto"
    archive: str = ""  # the spool that its archive_command fills; empty: its log is streamed


class ServerBook:
    """The file, read afresh whenever it has changed. Safe for several processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Stamp | None = None
        self._servers: dict[str, Conninfo] = {}
        self._sources: dict[str, Source] = {}
        self._archives: dict[str, str] = {}

    def stamp(self) -> Stamp:
        """Changes whenever the file does."""
        return stamp_of(self._path)

    def servers(self) -> dict[str, Conninfo]:
        """Name -> conninfo, sorted by name. Raises Invalid when the file is not what we wrote."""
        stamp = self.stamp()
        if stamp != self._seen:
            kept = self._kept()
            self._servers = {name: Conninfo.parse(kept[name].conninfo) for name in sorted(kept)}
            self._sources = {name: one.source for name, one in kept.items()}
            self._archives = {name: one.archive for name, one in kept.items()}
            self._seen = stamp
        return dict(self._servers)

    def conninfo(self, name: str) -> Conninfo:
        """One server's; NotFound when this agent does not look after it."""
        found = self.servers().get(name)
        if found is None:
            raise NotFound(
                f"this agent looks after no server named {name!r}",
                hint="Run `strongroom agent add NAME` on the agent's machine.",
            )
        return found

    def source(self, name: str) -> Source:
        """What one server's files are read from; NotFound as `conninfo` raises it."""
        self.conninfo(name)
        return self._sources[name]

    def archive(self, name: str) -> Path | None:
        """Where one server's archive_command puts its log; None where the log is streamed."""
        self.conninfo(name)
        return Path(self._archives[name]) if self._archives[name] else None

    def add(
        self,
        name: str,
        conninfo: str,
        *,
        source: Source | None = None,
        archive: str | None = None,
        replace: bool = False,
    ) -> None:
        """Look after one more server.

        `archive`: the spool that its archive_command fills; empty: its log is streamed. None of
        either: as it is already, or as it is without being said.

        Raises Invalid for the name, the conninfo or the source, Conflict when the name is taken.
        """
        if _NAME.fullmatch(name) is None:
            raise Invalid(
                f"not a server's name: {name[:80]!r}",
                hint="Use 3 to 63 letters, digits and hyphens.",
            )
        if source is not None and source not in get_args(Source):
            raise Invalid(f"not a source: {source[:80]!r}", hint="Use auto, stream or disk.")
        Conninfo.parse(conninfo)
        if archive and not Path(archive).is_absolute():
            raise Invalid(
                f"{archive} is not an absolute path", hint="Name the spool from the root."
            )
        with locked(self._path):
            kept = self._kept()
            known = kept.get(name, Kept(conninfo))
            new = Kept(
                conninfo,
                known.source if source is None else source,
                known.archive if archive is None else archive,
            )
            if name in kept and kept[name] != new and not replace:
                raise Conflict(
                    f"a server named {name!r} is there already, with another conninfo or source",
                    hint="Choose another name, or give --replace.",
                )
            self._write({**kept, name: new})

    def remove(self, name: str) -> None:
        """Look after it no more; NotFound when it is not there."""
        with locked(self._path):
            kept = self._kept()
            if name not in kept:
                raise NotFound(
                    f"this agent looks after no server named {name!r}",
                    hint="The names are those that were given to `strongroom agent add`.",
                )
            del kept[name]
            self._write(kept)

    def _kept(self) -> dict[str, Kept]:
        data = read_private(self._path)
        if data is None:
            return {}
        try:
            return msgspec.json.decode(data, type=dict[str, Kept])
        except msgspec.MsgspecError as error:
            raise Invalid(
                f"{self._path} is not a list of servers",
                hint="Restore the file, or remove it and add the servers again.",
            ) from error

    def _write(self, kept: dict[str, Kept]) -> None:
        write_private(self._path, msgspec.json.encode(dict(sorted(kept.items()))))
