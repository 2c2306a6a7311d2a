"""The command line that does what the restore wizard's form asks for."""

import shlex
from collections.abc import Iterator
from typing import Any

_MOMENTS = {"time": "--at", "lsn": "--at-lsn", "xid": "--at-xid", "name": "--at-name"}


def command_of(server: str, request: dict[str, Any], *, second: bool) -> str:
    """For a shell; `request` as restore_form makes it, `second`: it reads the second copy.

    What a place wants beside it (a SAS) is no part of it: the command asks.
    """
    wish = request["restoreTargetInfo"]["strongroom"]
    words = ["strongroom", "load" if "load" in wish else "restore", server]
    words += _moment(wish.get("moment") or {}, request["recoveryPointId"])
    words += _load(wish["load"]) if "load" in wish else _restore(wish)
    return shlex.join([*words, *(["--from-second"] if second else [])])


def _moment(moment: dict[str, Any], point: str) -> Iterator[str]:
    for kind, option in _MOMENTS.items():
        if kind in moment:
            yield from (option, str(moment[kind]))
    if "follow" in moment:
        yield "--standby"
    if "timeline" in moment:
        yield from ("--timeline", str(moment["timeline"]))
    if not moment:
        yield from ("--point", point)


def _load(wish: dict[str, Any]) -> Iterator[str]:
    yield from ("--to-server", wish["targetServer"])
    if wish["withRoles"]:
        yield "--with-roles"


def _restore(wish: dict[str, Any]) -> Iterator[str]:
    part, place = wish.get("part") or {}, wish.get("files") or {}
    named = {
        "--database": part.get("database"),
        "--table": part.get("table"),
        "--rename": part.get("rename"),
        "--to-server": part.get("targetServer"),
        **_place(wish.get("targetDirectory", ""), part, place.get("url", "")),
        "--s3-endpoint": place.get("endpoint"),
        "--prefix": part.get("filePrefix"),
        "--port": wish.get("port"),
    }
    for option, value in named.items():
        if value:
            yield from (option, str(value))
    for old, new in wish.get("tablespaces", {}).items():
        yield from ("--tablespace", f"{old}={new}")
    for option, asked in (("--in-place", wish.get("inPlace")), ("--start", wish.get("start"))):
        if asked:
            yield option


def _place(directory: str, part: dict[str, Any], url: str) -> dict[str, str]:
    """Dumps of everything go where --to-files says, a whole directory or one part to --to-dir."""
    everything = bool(part) and not part.get("database")
    return {"--to-files": url or directory} if url or everything else {"--to-dir": directory}
