"""What `strongroom agent ...` does, for `app.py` to register. A conninfo comes from stdin alone.

An argument list is public on most systems, and a conninfo may hold a password.
"""

import os
import sys
from pathlib import Path
from typing import TextIO

import msgspec

from strongroom.agent.process import run
from strongroom.agent.servers import ServerBook, Source
from strongroom.agent.settings import Settings
from strongroom.model.errors import Invalid
from strongroom.model.operation import ServerFacts
from strongroom.model.seams import Chance, Clock
from strongroom.postgres.check import look

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
    data: Path, name: str, conninfo: TextIO, *, source: Source = "auto", replace: bool = False
) -> None:
    """`agent add NAME < FILE`: look after one more server; a running agent sees it at once.

    Raises Invalid for a bad name or conninfo, Conflict when the name is taken.
    """
    text = conninfo.read(LONGEST_CONNINFO + 1).strip()
    if not text or len(text) > LONGEST_CONNINFO:
        raise Invalid(
            "no conninfo on standard input",
            hint="Pipe it in: `strongroom agent add NAME < conninfo.txt`.",
        )
    _book(data).add(name, text, source=source, replace=replace)


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
    return look(_book(data).conninfo(name), name)


def facts_as_json(facts: ServerFacts) -> str:
    """ServerFacts for people and pipes: indented JSON, camelCase as on the wire."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=2).decode()


def _book(data: Path) -> ServerBook:
    return ServerBook(Settings(data=data).servers_file)
