"""The earliest time it can be, whatever the host's clock says: by it points end and purges begin.

A clock that is set years ahead, by mistake or on purpose, would end every point at once. So time
goes no faster here than the monotonic clock, and over a standstill it is believed for a week; what
is beyond that comes later by as much, until a person says that the clock is right.
"""

import threading

import structlog
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.installation import installation
from strongroom.model.seams import Clock

MOST_STANDSTILL = 7 * 86_400.0  # seconds
SLACK = 3600.0  # seconds by which a clock may be put right while the service runs
NOTE_SECONDS = 600.0
_NAME = "clock"

log = structlog.get_logger()


class ServiceClock:
    """Of one process; what it has seen lies in the catalogue. Safe for threads."""

    def __init__(self, clock: Clock, database: Database, *, accept: bool = False) -> None:
        """`accept`: a person says that the host's clock is right, however long the standstill."""
        self._clock, self._database = clock, database
        self._lock = threading.Lock()
        self._told = False
        self._began = clock.monotonic()
        now, noted = clock.now(), self._noted()
        self._seen = max(now, noted or now)
        latest = now if noted is None or accept else noted.add(seconds=MOST_STANDSTILL)
        self._base = min(now, latest)

    @property
    def is_suspect(self) -> bool:
        """Whether the host's clock is further on than it can be."""
        return self._clock.now() > self._latest()

    def earliest(self) -> Instant:
        """What ends later than this has not ended."""
        now, latest = self._clock.now(), self._latest()
        with self._lock:
            first, self._told = now > latest and not self._told, now > latest
        if first:
            log.error(
                "clock.suspect",
                host=now.format_iso(),
                believed=latest.format_iso(),
                hint="Points end later. Put the clock right; if it is, start with --accept-clock.",
            )
        return min(now, latest)

    def behind(self) -> float:
        """Seconds by which the host's clock is behind what was seen of it; 0 when it is not."""
        elapsed = self._clock.monotonic() - self._began
        late = (self._seen.add(seconds=elapsed - SLACK) - self._clock.now()).total("seconds")
        return late + SLACK if late > 0 else 0.0

    def note(self) -> None:
        """Write down how late it is: the next start compares. It never goes back."""
        now = self.earliest()
        with self._database.writing() as connection:
            before = installation.get(connection, _NAME)
            if not before or Instant.parse_iso(before) < now:
                installation.put(connection, _NAME, now.format_iso())

    def _latest(self) -> Instant:
        elapsed = self._clock.monotonic() - self._began
        return self._base.add(seconds=elapsed + SLACK)

    def _noted(self) -> Instant | None:
        with self._database.reading() as connection:
            found = installation.get(connection, _NAME)
        return Instant.parse_iso(found) if found else None
