"""Where PostgreSQL's archive_command hands segments to the agent, and hears what became of them.

    DIR/<system identifier>/NAME           a segment, a history: whole, synced, waiting
    DIR/<system identifier>/NAME.kept      BLAKE3 of what the vault has under that name
    DIR/<system identifier>/NAME.refused   why it is not taken
    DIR/<system identifier>/limit          bytes of log that may wait for a vault that is away

PostgreSQL's side makes the directory of a system: it is its user's, and of DIR's group. One of the
agent's would be closed to PostgreSQL, which is of no group of the agent's.

Nothing in it counts as kept but what the vault has: the spool may be lost at any time. Both sides
write beside and rename, so that whatever has its name is whole.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from strongroom.model.errors import Invalid, Precondition, SpoolFailed, SpoolFull

SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_LABEL = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")
_MOST_MARKS = 4096  # of the newest
_OTHERS_MAY_WRITE = 0o002
_LEFT_SECONDS = 3600


class Spool:
    """Of one system. What its methods write may raise SpoolFailed."""

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

    def make(self) -> None:
        """As PostgreSQL's user, whose umask would close it to the agent.

        Nothing is changed afterwards: whoever is not of its group would take its group away from
        what is put there. Source: chmod(2), S_ISGID.
        """
        if self.directory.exists():
            return
        before = os.umask(0o007)
        try:
            with _told(self.directory):
                self.directory.mkdir(mode=0o770, exist_ok=True)
        finally:
            os.umask(before)

    def put(self, name: str, content: bytes) -> None:
        """Hand it over. Raises Invalid when another content waits under that name."""
        place = self.directory / name
        with _told(place):
            if place.exists() and digest_of(place.read_bytes()) != digest_of(content):
                raise Invalid(f"another {name} waits to be kept", hint="two servers archive here")
        self._write(name, content)

    def waiting(self) -> list[str]:
        """What is to be kept, in the order in which it is: a history before its segments."""
        try:
            names = [each.name for each in self.directory.iterdir()]
        except FileNotFoundError:  # nothing was ever archived
            return []
        except OSError as error:
            raise _failed(error, self.directory) from error
        found = [name for name in names if HISTORY.fullmatch(name) or SEGMENT.fullmatch(name)]
        return sorted(found, key=lambda name: (name.endswith(".history") and -1, name))

    def read(self, name: str) -> bytes:
        """What was handed over."""
        place = self.directory / name
        try:
            return place.read_bytes()
        except OSError as error:
            raise _failed(error, place) from error

    def keep(self, name: str, digest: str) -> None:
        """The vault has it: say so, and let it go."""
        try:
            self._write(f"{name}.kept", digest.encode())
        except SpoolFull:  # of that very file, it may be: who is not told asks once more
            (self.directory / name).unlink(missing_ok=True)
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
            with _told(self.directory / f"{name}.kept"):
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
            with _told(self.directory / "limit"):
                return int((self.directory / "limit").read_text())
        except (FileNotFoundError, ValueError):
            return usual

    def set_limit(self, count: int) -> bool:
        """For whoever puts; whether there is anybody yet."""
        if not self.directory.exists():
            return False
        self._write("limit", str(count).encode())
        return True

    def clear(self, now: float) -> None:
        """Of what was being written when its writer was killed; `now`: seconds since 1970."""
        for each in self.directory.glob(".*"):
            with suppress(FileNotFoundError):
                if each.stat().st_mtime < now - _LEFT_SECONDS:
                    each.unlink()

    def _write(self, name: str, content: bytes) -> None:
        beside = self.directory / f".{name}.{os.getpid()}"
        try:
            with beside.open("wb") as file:
                left = memoryview(content)
                while left:
                    left = left[os.write(file.fileno(), left) :]
                os.fsync(file.fileno())
            beside.chmod(0o664 if "." in name or name == "limit" else 0o660)
            beside.rename(self.directory / name)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)  # else each try takes more of a full disk
            raise _failed(error, beside) from error


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _failed(error, place) from error


def _failed(error: OSError, place: Path) -> SpoolFailed:
    spool = place.parent
    if error.errno == errno.ENOSPC:
        return SpoolFull(f"the disk of the spool is full: {spool}", hint=f"make room: df {spool}")
    if isinstance(error, PermissionError):
        hint = (
            f"the directory is PostgreSQL's, and of the agent's group: ls -ld {spool}; "
            "chown -R postgres:AGENT and chmod 2770 mend it"
        )
        return SpoolFailed(f"{place} is closed to this user", hint=hint)
    return SpoolFailed(f"{place} cannot be used: {error.strerror}")


def digest_of(content: bytes) -> str:
    """What tells it from another of the same name."""
    return blake3(content).hexdigest()


def is_passed_over(name: str) -> bool:
    """Labels of other programs' backups: of no use here."""
    return _LABEL.fullmatch(name) is not None
