"""Where PostgreSQL's archive_command hands segments to the agent, and hears what became of them.

    DIR/<system identifier>/NAME           a segment, a history: whole, synced, waiting
    DIR/<system identifier>/NAME.kept      BLAKE3 of what the vault has under that name
    DIR/<system identifier>/NAME.refused   why it is not taken
    DIR/<system identifier>/limit          bytes of log that may wait for a vault that is away

Nothing in it counts as kept but what the vault has: the spool may be lost at any time. Both sides
write beside and rename, so that whatever has its name is whole.
"""

import os
import re
from pathlib import Path

from blake3 import blake3

from strongroom.model.errors import Invalid, Precondition

SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_LABEL = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")
_MOST_MARKS = 4096  # of the newest
_OTHERS_MAY_WRITE = 0o002


class Spool:
    """Of one system. Made by whoever comes first."""

    def __init__(self, root: Path, system: str) -> None:
        """Raises Precondition where anybody could put log into it."""
        self.directory = root / system
        try:
            mode = root.stat().st_mode
        except OSError as error:
            hint = "make it: install -d -o postgres -g AGENT -m 2770 DIRECTORY"
            raise Precondition(f"there is no directory {root}", hint=hint) from error
        if mode & _OTHERS_MAY_WRITE:
            raise Precondition(f"anybody may write into {root}", hint=f"chmod o-w {root}")
        if not self.directory.exists():
            self.directory.mkdir(exist_ok=True)
            self.directory.chmod(mode & 0o7770)

    def put(self, name: str, content: bytes) -> None:
        """Hand it over. Raises Invalid when another content waits under that name."""
        place = self.directory / name
        if place.exists() and digest_of(place.read_bytes()) != digest_of(content):
            raise Invalid(f"another {name} waits to be kept", hint="two servers archive here")
        self._write(name, content)

    def waiting(self) -> list[str]:
        """What is to be kept, in the order in which it is: a history before its segments."""
        names = [each.name for each in self.directory.iterdir()]
        found = [name for name in names if HISTORY.fullmatch(name) or SEGMENT.fullmatch(name)]
        return sorted(found, key=lambda name: (name.endswith(".history") and -1, name))

    def read(self, name: str) -> bytes:
        """What was handed over."""
        return (self.directory / name).read_bytes()

    def keep(self, name: str, digest: str) -> None:
        """The vault has it: say so, and let it go."""
        self._write(f"{name}.kept", digest.encode())
        (self.directory / name).unlink(missing_ok=True)
        marks = sorted(self.directory.glob("*.kept"))
        for each in marks[:-_MOST_MARKS]:
            each.unlink(missing_ok=True)

    def refuse(self, name: str, why: str) -> None:
        """It is not taken."""
        self._write(f"{name}.refused", why.encode())
        (self.directory / name).unlink(missing_ok=True)

    def kept(self, name: str) -> str:
        """The digest of what the vault has under that name; empty when it is not known."""
        try:
            return (self.directory / f"{name}.kept").read_text()
        except FileNotFoundError:
            return ""

    def refused(self, name: str) -> str:
        """Why it was not taken, told once; empty when it was not refused."""
        place = self.directory / f"{name}.refused"
        try:
            why = place.read_text()
        except FileNotFoundError:
            return ""
        place.unlink(missing_ok=True)
        return why or "it was refused"

    def limit(self, usual: int) -> int:
        """As the agent said last."""
        try:
            return int((self.directory / "limit").read_text())
        except (FileNotFoundError, ValueError):
            return usual

    def set_limit(self, count: int) -> None:
        """For whoever puts."""
        self._write("limit", str(count).encode())

    def _write(self, name: str, content: bytes) -> None:
        beside = self.directory / f".{name}.{os.getpid()}"
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o664 if "." in name or name == "limit" else 0o660)
        beside.rename(self.directory / name)


def digest_of(content: bytes) -> str:
    """What tells it from another of the same name."""
    return blake3(content).hexdigest()


def is_passed_over(name: str) -> bool:
    """Labels of other programs' backups: of no use here."""
    return _LABEL.fullmatch(name) is not None
