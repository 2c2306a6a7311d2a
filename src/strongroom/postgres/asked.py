"""What a backup asks of a server before it begins, whichever way the server is reached."""

from typing import Protocol


class Asked(Protocol):
    """A server that answers: a replication connection, or a session beside the data directory."""

    def rows(self, command: str, what: str) -> list[list[bytes]]:
        """Run a command that answers with rows; `what` is it in words, for errors."""

    def history(self, timeline: int) -> bytes:
        """The history file of a timeline that is not the first."""


def show(server: Asked, setting: str) -> str:
    """A setting, as text."""
    return server.rows(f"SHOW {setting}", f"showing {setting}")[0][0].decode(errors="replace")
