"""`strongroom wal-put`: PostgreSQL's archive_command for servers that grant no replication.

Its exit is a promise: 0 once the vault has read the segment again, and only then, or where the
server has kept so much for a vault that is away that its disk counts for more. All else is 1:
PostgreSQL takes an exit above 125 for a signal, and starts its archiver anew without counting.
Source: PostgreSQL manual, "Setting Up WAL Archiving"; pgarch.c.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from strongroom.agent.wal.spool import HISTORY, SEGMENT, Spool, digest_of, is_passed_over
from strongroom.model.errors import Invalid, Precondition, VaultError
from strongroom.model.seams import Clock
from strongroom.model.wal import SLOT_BYTES

SECONDS = 60.0  # PostgreSQL tries again after that
_LOOK_SECONDS = 0.05


class _NotKeptError(Exception):
    """PostgreSQL is to try again."""


def wal_put(path: Path, name: str, spool: Path, clock: Clock, seconds: float = SECONDS) -> int:
    """0 or 1, whatever happens. Called in the data directory, with %p and %f."""
    try:
        with _stoppable():
            return _put(path, name, spool, clock, seconds)
    except VaultError as error:
        return _said(name, f"{error.message} ({error.hint})" if error.hint else error.message)
    except _NotKeptError as error:
        return _said(name, str(error))
    except Exception as error:  # noqa: BLE001 - the door: PostgreSQL reads the exit, and no trace
        return _said(name, f"{type(error).__name__}: {error}")


@contextmanager
def _stoppable() -> Iterator[None]:
    """A signal ends it as any failure does."""

    def stopped(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _NotKeptError("PostgreSQL is stopping")

    before = {each: signal.signal(each, stopped) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _put(path: Path, name: str, root: Path, clock: Clock, seconds: float) -> int:
    if is_passed_over(name):
        return 0
    if not SEGMENT.fullmatch(name) and not HISTORY.fullmatch(name):
        raise Invalid(f"{name[:80]!r} is no name of log", hint="strongroom wal-put %p %f")
    content = path.read_bytes()
    spool, digest = Spool(root, system_of(path)), digest_of(content)
    spool.make()
    limit = spool.limit(SLOT_BYTES)
    if _waits(path, len(content)) > limit:
        _said(name, f"let go: more than {limit:,} bytes wait for a vault that is away")
        return 0
    known = spool.kept(name)
    if not known:
        spool.put(name, content)
        known = _await_kept(spool, name, clock, seconds)
    if known != digest:
        raise Precondition(f"the vault has another {name}", hint="two servers archive as one")
    return 0


def _await_kept(spool: Spool, name: str, clock: Clock, seconds: float) -> str:
    until = clock.monotonic() + seconds
    while clock.monotonic() < until:
        if known := spool.kept(name):
            return known
        if why := spool.refused(name):
            raise _NotKeptError(why)
        clock.sleep(_LOOK_SECONDS)
    raise _NotKeptError("the vault has not taken it yet")


def _waits(path: Path, size: int) -> int:
    """Bytes that wait to be archived: PostgreSQL keeps them all."""
    ready = path.absolute().parent / "archive_status"
    return size * sum(1 for each in ready.glob("*.ready") if SEGMENT.fullmatch(each.stem))


def system_of(path: Path) -> str:
    """Whose it is, by the control file beside pg_wal. Source: pg_control.h, its first field."""
    control = path.absolute().parent.parent / "global" / "pg_control"
    with control.open("rb") as file:
        return str(int.from_bytes(file.read(8), "little"))


def _said(name: str, why: str) -> int:
    sys.stderr.write(f"strongroom wal-put {name}: {why}\n")
    sys.stderr.flush()
    return 1
