"""What `strongroom agent ...` does, for `app.py` to register. A conninfo comes from stdin alone.

An argument list is public on most systems, and a conninfo may hold a password.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import TextIO

import msgspec

from strongroom.agent.own_settings import EVERY_SERVER, Hooks, OwnSettings, OwnSettingsFile
from strongroom.agent.process import run
from strongroom.agent.servers import ServerBook, Source
from strongroom.agent.settings import Settings
from strongroom.model.errors import Invalid
from strongroom.model.protection.backup_settings import read_rate, read_settings
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.drill import read_assertions
from strongroom.model.work.operation import ServerFacts
from strongroom.postgres.backup.check import look

LONGEST_CONNINFO = 4096  # characters


def run_agent(settings: Settings, clock: Clock, chance: Chance) -> None:
    """`agent run`: until SIGTERM. Raises what makes it impossible to begin.

    Work that is stuck (a disk or a network that does not answer) cannot hold up the end: after
    its grace the process goes. What it was writing is garbage, or a marked, unfinished target.
    """
    if not run(settings, clock, chance):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def add_server(
    data: Path,
    name: str,
    conninfo: TextIO,
    *,
    source: Source | None = None,
    archive: str | None = None,
    replace: bool = False,
) -> None:
    """`agent add NAME < FILE`: look after one more server; a running agent sees it at once.

    `source` and `archive` as `ServerBook.add` takes them.

    Raises Invalid for a bad name or conninfo, Conflict when the name is taken.
    """
    text = conninfo.read(LONGEST_CONNINFO + 1).strip()
    if not text or len(text) > LONGEST_CONNINFO:
        raise Invalid(
            "no conninfo on standard input",
            hint="Pipe it in: `strongroom agent add NAME < conninfo.txt`.",
        )
    _book(data).add(name, text, source=source, archive=archive, replace=replace)


def remove_server(data: Path, name: str) -> None:
    """`agent remove NAME`. Raises NotFound."""
    _book(data).remove(name)


def list_servers(data: Path) -> list[str]:
    """`agent list`: the names, sorted."""
    return list(_book(data).servers())


def check_server(data: Path, name: str) -> ServerFacts:
    """`agent check NAME`: what the agent sees of it, now.

    Raises NotFound, and SourceUnreachable or SourceRefused when it cannot be looked at.
    """
    book = _book(data)
    return look(book.conninfo(name), name, book.source(name))


def facts_as_json(facts: ServerFacts) -> str:
    """ServerFacts for people and pipes: indented JSON, camelCase as on the wire."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=2).decode()


def set_bandwidth(data: Path, bandwidth: str) -> OwnSettings:
    """`agent set --bandwidth 50MiB/s`: of all backups of this agent together; none: no limit."""
    rate = read_settings({"bandwidth": read_rate(bandwidth)}).bandwidth

    def changed(known: OwnSettings) -> OwnSettings:
        return msgspec.structs.replace(known, bandwidth=rate)

    return _own(data).change(changed)


def set_hooks(data: Path, server: str, pre: str, post: str, seconds: float) -> OwnSettings:
    """`agent hooks NAME --pre COMMAND --post COMMAND`, words as a shell would cut them.

    Empty commands: none. Raises Invalid, and NotFound for a server that it does not look after.
    """
    if server:
        _book(data).conninfo(server)
    try:
        hooks = Hooks(pre=shlex.split(pre), post=shlex.split(post), seconds=seconds)
    except ValueError as error:
        raise Invalid(f"the command cannot be read: {error}", hint="See its quotes.") from error
    return _own(data).set_hooks(server or EVERY_SERVER, hooks)


def set_assertions(data: Path, server: str, text: str) -> OwnSettings:
    """`agent assertions NAME < FILE`: what drills of its points must find true; no text: nothing.

    Raises Invalid, and NotFound for a server that it does not look after.
    """
    if server:
        _book(data).conninfo(server)
    return _own(data).set_assertions(server or EVERY_SERVER, read_assertions(text))


def own_settings(data: Path) -> OwnSettings:
    """`agent settings`: what this host decides alone."""
    return _own(data).load()


def settings_as_json(settings: OwnSettings) -> str:
    """For people and pipes."""
    return msgspec.json.format(msgspec.json.encode(settings), indent=2).decode()


def _own(data: Path) -> OwnSettingsFile:
    return OwnSettingsFile(Settings(data=data).own_file)


def _book(data: Path) -> ServerBook:
    return ServerBook(Settings(data=data).servers_file)
