"""The servers this agent looks after: name -> conninfo, in a file of mode 0600."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from strongroom.agent.private_file import own_directory, read_private, write_private
from strongroom.model.errors import Conflict, Invalid, NotFound
from strongroom.postgres.connect import Conninfo

_NAME = re.compile(r"[-a-zA-Z0-9]{3,63}")
Stamp = tuple[int, int, int]


class ServerBook:
    """The file, read afresh whenever it has changed. Safe for several processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Stamp | None = None
        self._servers: dict[str, Conninfo] = {}

    def stamp(self) -> Stamp:
        """Changes whenever the file does: (modification time, inode, size); zeros without it."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_ino, found.st_size)

    def servers(self) -> dict[str, Conninfo]:
        """Name -> conninfo, sorted by name. Raises Invalid when the file is not what we wrote."""
        stamp = self.stamp()
        if stamp != self._seen:
            texts = self._texts()
            self._servers = {name: Conninfo.parse(texts[name]) for name in sorted(texts)}
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

    def add(self, name: str, conninfo: str, *, replace: bool = False) -> None:
        """Look after one more server.

        Raises Invalid for the name or the conninfo, Conflict when the name is taken.
        """
        if _NAME.fullmatch(name) is None:
            raise Invalid(
                f"not a server's name: {name[:80]!r}",
                hint="Use 3 to 63 letters, digits and hyphens.",
            )
        Conninfo.parse(conninfo)
        with self._locked():
            texts = self._texts()
            if name in texts and texts[name] != conninfo and not replace:
                raise Conflict(
                    f"a server named {name!r} is there already, with another conninfo",
                    hint="Choose another name, or give --replace.",
                )
            self._write({**texts, name: conninfo})

    def remove(self, name: str) -> None:
        """Look after it no more; NotFound when it is not there."""
        with self._locked():
            texts = self._texts()
            if name not in texts:
                raise NotFound(
                    f"this agent looks after no server named {name!r}",
                    hint="The names are those that were given to `strongroom agent add`.",
                )
            del texts[name]
            self._write(texts)

    def _texts(self) -> dict[str, str]:
        data = read_private(self._path)
        if data is None:
            return {}
        try:
            return msgspec.json.decode(data, type=dict[str, str])
        except msgspec.MsgspecError as error:
            raise Invalid(
                f"{self._path} is not a list of servers",
                hint="Restore the file, or remove it and add the servers again.",
            ) from error

    def _write(self, texts: dict[str, str]) -> None:
        write_private(self._path, msgspec.json.encode(dict(sorted(texts.items()))))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two `agent add` at once must not lose one of the two."""
        own_directory(self._path.parent)
        handle = os.open(self._path.with_name(".servers.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
