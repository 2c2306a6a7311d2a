"""The clock by which a lock ends: the earliest time it can be, whatever the host's clock says.

A host's clock may be set years ahead, by mistake or on purpose, and every lock would be over. So
time goes no faster here than the monotonic clock, and over a standstill of the store it is
believed for a week; beyond that the locks wait until a person says that the clock is right.
"""

import structlog
from whenever import Instant

from strongroom.model.seams import Clock
from strongroom.storage.ledger.ledger import Ledger, instant_of, micros_of

MOST_STANDSTILL = 7 * 86_400.0  # seconds
_SLACK = 3600.0  # seconds by which a clock may be put right while the store runs
_BETWEEN_NOTES = 600.0  # seconds

_log = structlog.get_logger("strongroom.storage")


class LockClock:
    """One for a store that is open. Safe for threads: it is told nothing but what it reads."""

    def __init__(self, clock: Clock, ledger: Ledger, *, accept: bool = False) -> None:
        """`accept`: a person says that the host's clock is right, however long the standstill."""
        self._clock = clock
        self._ledger = ledger
        self._began = clock.monotonic()
        now, noted = clock.now(), _noted(ledger)
        believed = noted is None or accept
        if not believed and noted is not None:
            believed = (now - noted).total("seconds") <= MOST_STANDSTILL
        self._base = now if believed or noted is None else min(now, noted)
        self._noted_at = self._began - _BETWEEN_NOTES
        self._told = False
        self.note()

    @property
    def is_suspect(self) -> bool:
        """Whether the host's clock is further on than it can be."""
        return self._clock.now() > self._latest()

    def earliest(self) -> Instant:
        """A lock that ends before this has ended."""
        now, latest = self._clock.now(), self._latest()
        if now > latest and not self._told:
            self._told = True
            _log.error(
                "clock_suspect",
                host=now.format_iso(),
                believed=latest.format_iso(),
                hint="Locks wait. Put the clock right; if it is, start with --accept-clock.",
            )
        return min(now, latest)

    def note(self) -> None:
        """Write down how late it is, at most every ten minutes: the next start compares."""
        elapsed = self._clock.monotonic()
        if elapsed - self._noted_at < _BETWEEN_NOTES:
            return
        self._noted_at = elapsed
        at = micros_of(self.earliest())
        self._ledger.note(
            "INSERT INTO clock VALUES (1, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            [at],
        )

    def _latest(self) -> Instant:
        elapsed = self._clock.monotonic() - self._began
        return self._base.add(seconds=elapsed + _SLACK)


def _noted(ledger: Ledger) -> Instant | None:
    with ledger.reading() as connection:
        row = connection.execute("SELECT at FROM clock").fetchone()
    return None if row is None else instant_of(row[0])
