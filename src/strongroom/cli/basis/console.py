"""How commands speak: facts on stdout, errors and progress on stderr; rich only when needed."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from strongroom.cli.basis.seen import seen
from strongroom.model.errors import VaultError

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def say(text: str = "") -> None:
    """One line for people on stdout."""
    print(seen(text), flush=True)


def note(text: str) -> None:
    """One line on stderr: what happens meanwhile."""
    print(seen(text), file=sys.stderr, flush=True)


def tell_error(error: VaultError) -> None:
    """`error: fact`, then `hint: sentence`."""
    note(f"error: {error.message}")
    if error.hint:
        note(f"hint: {error.hint}")


def as_json(value: Any) -> None:  # noqa: ANN401 - any JSON
    """Indented JSON on stdout, for programs."""
    print(json.dumps(value, indent=2, default=str), flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Columns in plain text, each as wide as it needs to be; `empty` when there is no row."""
    if not rows:
        say(empty)
        return
    rows = [[seen(cell).replace("\n", "\\n") for cell in row] for row in rows]
    widths = [max(len(columns[i]), *(len(row[i]) for row in rows)) for i in range(len(columns))]
    for row in (tuple(name.upper() for name in columns), *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def facts(pairs: Mapping[str, str], indent: str = "  ") -> None:
    """Name and value, values in one column; one of several lines goes on beneath itself."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        lines = value.replace("\n", "\n" + " " * (len(indent) + width + 2))
        say(f"{indent}{name.ljust(width)}  {lines}")


def size(count: int) -> str:
    """Bytes for people: 1536 -> 1.5 KiB."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} {_UNITS[0]}"


def confirmed(question: str) -> bool:
    """Ask a person; without one (no terminal) the answer is no."""
    if not sys.stdin.isatty():
        return False
    note(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def is_watched() -> bool:
    """Whether a person looks at stderr."""
    return sys.stderr.isatty()


class Meter(Protocol):
    """Shows how far something is."""

    def show(self, step: str, done: int, total: int, stored: int = 0) -> None:
        """`done` of `total` raw bytes; total 0 = not known."""
        ...


@contextmanager
def meter(title: str) -> Iterator[Meter]:
    """A bar for people; for logs one plain line whenever the step or a tenth changes."""
    if not is_watched():
        yield PlainMeter(title)
        return
    from strongroom.cli.basis import bar  # noqa: PLC0415 - rich costs 60 ms that few commands need

    with bar.shown(title) as found:
        yield found


class PlainMeter:
    """Lines that read well in a log."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = ("", -1)

    def show(self, step: str, done: int, total: int, stored: int = 0) -> None:
        """A line when there is something new to say."""
        tenth = done * 10 // total if total else 0
        if (step, tenth) == self._last:
            return
        self._last = (step, tenth)
        words = f"{self._title}: {step}"
        if total and done:
            words += f", {size(done)} of {size(total)} ({min(100, done * 100 // total)} %)"
        if stored:
            words += f", {size(stored)} stored"
        note(words)
