"""What a backup asks of a server before it begins, whichever way the server is reached."""

from typing import Protocol


class Asked(Protocol):
    """A server that answers: a replication connection, or a session beside the data directory."""

    def rows(self, command: str, what: str) -> list[list[bytes]]:
        """Run a command that answers with rows; `what` is it in words, for errors."""

    def history(self, timeline: int) -> bytes:
        """The history file of a timeline that is not the first."""


_UNITS = {"": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def show_bytes(server: Asked, setting: str) -> int:
    """A setting that is a size, in bytes; -1 where that is its value, as for no bound.

    Source: PostgreSQL manual, "Setting Parameters", memory units. 0 and -1 are shown without one.
    """
    told = show(server, setting).strip()
    number = told.rstrip("kMGTB")
    return int(number) * _UNITS[told[len(number) :]]


def show(server: Asked, setting: str) -> str:
    """A setting, as text."""
    return server.rows(f"SHOW {setting}", f"showing {setting}")[0][0].decode(errors="replace")
