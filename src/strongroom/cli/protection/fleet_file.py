"""A file of many servers: one connection string a line, each with a name or without."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.cli.basis import conninfo, console
from strongroom.model import arm
from strongroom.model.errors import Invalid

# NAME= stands before a connection string; `host=` and the like begin one.
_NAMED = re.compile(r"([-A-Za-z0-9]+)\s*=\s*((?:postgres(?:ql)?://|[a-z_]+=).*)")


@dataclass(frozen=True, slots=True)
class Line:
    """A server of the file; `number` counts from 1. The text may hold a password."""

    number: int
    name: str
    text: str = field(repr=False)


def read_fleet(source: str) -> list[Line]:
    """The servers of a file, or of standard input for `-`.

    Raises Invalid when it cannot be read, names none, or has a bad line; each of these is told by
    its number, and none is repeated.
    """
    return fleet_in(_text_of(source))


def fleet_in(text: str) -> list[Line]:
    """The same of its text."""
    found: dict[str, Line] = {}
    bad = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        try:
            server = _server_in(number, words)
            before = found.setdefault(server.name.lower(), server)
            _refuse_twice(before, server)
        except Invalid as error:
            console.note(f"line {number}: {error.message}")
            console.note(f"    fix: {error.hint}")
            bad += 1
    if bad:
        count = "one line is" if bad == 1 else f"{bad} lines are"
        raise Invalid(
            f"{count} no server; nothing was changed",
            hint="Mend what was said of each line, and run the same command again.",
        )
    if not found:
        raise Invalid(
            "there is no server in it", hint="Write one a line, as NAME=postgresql://user@host/db."
        )
    return list(found.values())


def _server_in(number: int, words: str) -> Line:
    name, text = "", words
    match = _NAMED.fullmatch(words)
    if match and match[1] not in conninfo.KEYWORDS:
        name, text = match[1], match[2]
    if len(text) > conninfo.LONGEST:
        raise Invalid(
            "it is too long for a connection string",
            hint=f"One has {conninfo.LONGEST} characters at most.",
        )
    conninfo.check(text)
    return Line(number, arm.check_name("server", name or conninfo.name_for(text)), text)


def _refuse_twice(before: Line, server: Line) -> None:
    if before is not server:
        raise Invalid(
            f"{server.name} is the name of line {before.number}, too",
            hint="Put a name of its own before it: NAME=CONNINFO.",
        )


def _text_of(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise Invalid(
            f"{source} cannot be read: {why}", hint="Name a text file, or - and pipe it in."
        ) from error
