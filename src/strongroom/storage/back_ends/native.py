"""What a provider keeps follows what the ledger says: a second belt, which our host cannot open.

A blob is put with its lock. A lock that is extended later costs one row here, however many blobs
lie beneath its name, in the transaction that extends it; a thread (upkeep.py) then has the
provider extend each of them. Until it has, what the provider was told before still holds. A
provider is told whole days: several backups a day cost its locks one request, not several.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog
from whenever import Instant

from strongroom.model.errors import ObjectMissing, VaultError
from strongroom.storage.back_ends.back_end import NativeLock, NativeLocks
from strongroom.storage.basis.blob import Asked, Blob
from strongroom.storage.ledger.ledger import Ledger, instant_of, micros_of
from strongroom.storage.ledger.locks import Lock

_PAGE = 1000
_AT_ONCE = 8
_DAY = 86_400
_Due = tuple[str, str, int]  # container, name, turn
_log = structlog.get_logger("strongroom.storage")


class Native:
    """Of a store whose back end has locks. Thread-safe.

    `lock_of(blob)` is what the ledger says, `earliest()` a time that is over for sure.
    """

    def __init__(
        self,
        ledger: Ledger,
        locks: NativeLocks,
        lock_of: Callable[[Blob], Lock],
        earliest: Callable[[], Instant],
    ) -> None:
        self.woken = threading.Event()
        self._ledger = ledger
        self._locks = locks
        self._lock_of = lock_of
        self._earliest = earliest

    def wanted(self, blob: Blob) -> NativeLock:
        """What should keep it: whole days, and nothing that is over."""
        lock = self._lock_of(blob)
        binds = lock.state != "Disabled" and lock.until is not None
        if not binds or lock.until is None or lock.until <= self._earliest():
            return NativeLock(is_held=bool(lock.holds))
        return NativeLock(_whole_day(lock.until), lock.state == "Locked", bool(lock.holds))

    def note(self, blob: Blob, lock: NativeLock) -> None:
        """What the provider said keeps it. Lazy: forgotten, it is asked once more."""
        until = 0 if lock.until is None else micros_of(lock.until)
        self._ledger.note(
            "INSERT INTO native SELECT container, name, ?, ?, ? FROM blobs "
            "WHERE container = ? AND name = ? ON CONFLICT DO UPDATE SET "
            "until = excluded.until, is_final = excluded.is_final, is_held = excluded.is_held",
            [until, lock.is_final, lock.is_held, blob.container, blob.name],
        )

    def mark(self, connection: sqlite3.Connection, container: str, names: Sequence[str]) -> None:
        """Within the transaction that changes locks: what lies beneath these is to be followed."""
        connection.executemany(
            "INSERT INTO native_due VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET turn = turn + 1",
            [[container, name] for name in names],
        )

    def waiting(self) -> int:
        """Names whose locks the provider does not know yet."""
        with self._ledger.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM native_due").fetchone()[0])

    def follow(self, stopping: threading.Event) -> None:
        """Once through all that is due; what the provider does not do stays due."""
        with self._ledger.reading() as connection:
            due: list[_Due] = connection.execute("SELECT * FROM native_due").fetchall()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="native") as pool:
            for container, name, turn in due:
                done = True
                for blobs in self._beneath(container, name):
                    if stopping.is_set():
                        return
                    done &= self._follow(blobs, pool)
                if done:
                    self._done((container, name, turn))

    def _follow(self, blobs: list[Blob], pool: ThreadPoolExecutor) -> bool:
        known = self._known(blobs[0].container, blobs[0].name, blobs[-1].name)
        late = []
        for blob in blobs:
            wanted, has = self.wanted(blob), known.get(blob.name, NativeLock())
            if blob.incoming is None and (wanted.is_held != has.is_held or not has.covers(wanted)):
                late.append((blob, wanted))
        all_are_put = all(blob.incoming is None for blob in blobs)
        return all([*pool.map(self._keep, late), all_are_put])

    def _keep(self, task: tuple[Blob, NativeLock]) -> bool:
        blob, wanted = task
        try:
            self.note(blob, self._locks.keep(blob, wanted))
        except ObjectMissing:
            _log.error("native_lock_without_blob", container=blob.container, name=blob.name)
        except VaultError as error:
            _log.warning(
                "native_lock_waits",
                container=blob.container,
                name=blob.name,
                reason=error.message,
            )
            return False
        return True

    def _beneath(self, container: str, name: str) -> Iterator[list[Blob]]:
        if name and not name.endswith("/"):
            with suppress(ObjectMissing):
                yield [self._ledger.blob(container, name)]
            return
        after = ""
        while found := self._ledger.blobs(container, Asked(name, after=after, limit=_PAGE)):
            yield found
            after = found[-1].name

    def _known(self, container: str, first: str, last: str) -> dict[str, NativeLock]:
        query = (
            "SELECT name, until, is_final, is_held FROM native "
            "WHERE container = ? AND name BETWEEN ? AND ?"
        )
        with self._ledger.reading() as connection:
            rows = connection.execute(query, [container, first, last]).fetchall()
        return {
            name: NativeLock(instant_of(until) if until else None, bool(final), bool(held))
            for name, until, final, held in rows
        }

    def _done(self, due: _Due) -> None:
        with self._ledger.writing() as connection:
            connection.execute(
                "DELETE FROM native_due WHERE container = ? AND name = ? AND turn = ?", due
            )


def _whole_day(until: Instant) -> Instant:
    seconds = -(-until.timestamp(unit="microsecond") // 1_000_000)
    return Instant.from_timestamp(-(-seconds // _DAY) * _DAY)
