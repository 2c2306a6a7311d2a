"""How a run of log becomes a pack: condensed where there is time, and seen to come back."""

import structlog

from strongroom.agent.wal.run import Run
from strongroom.datastore.packs.pack import CONDENSED, PACK
from strongroom.datastore.packs.seal import PublicKey
from strongroom.datastore.packs.wal_condensed import condense, expand_into
from strongroom.datastore.packs.wal_pack import WAL_FRAME, level_for, seal_log
from strongroom.model.errors import Corrupt
from strongroom.model.postgres import lsn_to_text
from strongroom.model.seams import Chance, Clock

MOST_RECORDS = 100_000  # a second: to condense them takes a seventh of a core (decision 0239)


class RangeSealer:
    """Of one order."""

    def __init__(
        self, key: PublicKey, clock: Clock, chance: Chance, log: structlog.stdlib.BoundLogger
    ) -> None:
        self._key = key
        self._clock = clock
        self._chance = chance
        self._room = memoryview(bytearray(WAL_FRAME))  # untouched memory takes none
        self._log = log

    def seal(self, run: Run, segment_size: int) -> bytes:
        """A pack of it, as hard pressed as its pace leaves time for."""
        level, raw, magic = level_for(run.pace), run.raw, PACK
        if run.records * run.pace <= MOST_RECORDS * len(raw):
            condensed = condense(raw, run.start, segment_size)
            if len(condensed) < len(raw) and self._comes_back(condensed, run):
                raw, magic = condensed, CONDENSED
        return seal_log(raw, self._key, self._clock, self._chance, level=level, magic=magic)

    def _comes_back(self, condensed: bytes, run: Run) -> bool:
        """What cannot be read again is not kept: then the log itself is."""
        try:
            if expand_into(self._room, condensed) == (run.start, len(run.raw)):
                return True
            why = "another range comes back"
        except Corrupt as error:
            why = error.message
        at = lsn_to_text(run.start)
        self._log.error("a bug, to be reported: log is kept, but not condensed", at=at, why=why)
        return False
