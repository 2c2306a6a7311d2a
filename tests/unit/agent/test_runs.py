"""At what pace log came: what decides how hard it is pressed."""

import pytest

import log_made
from seams import FakeClock
from strongroom.agent.wal.run import RUN_BYTES, Before, Run, Runs
from strongroom.model.postgres import Lsn, SystemIdentifier, Timeline
from strongroom.postgres.log.wal_source import Found, Place
from strongroom.postgres.server.system import System

FIRST = 4 * log_made.SEGMENT
RECORDS = 230_000  # of a run: more than eight mebibytes
SYSTEM = System(SystemIdentifier(7), Timeline(1), 150000, log_made.SEGMENT, checksums=True)


class _Server:
    """Writes log that is all alike, as fast as it is told."""

    def __init__(self, runs: int) -> None:
        self.clock = FakeClock()
        place = Place(Timeline(1), Lsn(FIRST))
        found = Found(SYSTEM, Lsn(FIRST))
        self._runs = Runs(place, found, self.clock, Before(), seal_seconds=10.0, quiet_seconds=3.0)
        commits = runs * RECORDS * [log_made.commit(700, 1_790_000_000_000_000)]
        self._log, self._at = log_made.log_of(7, FIRST, commits), 0

    def writes(
        self, *, records: int = RECORDS, quiet: float = 0.0, seconds: float, more: int = 0
    ) -> Run:
        """So many records, half of them at once, half when so many seconds have passed.

        more: bytes that it has written beyond.
        """
        self.clock.advance(quiet)
        done = self._at + records
        begin, end = (log_made.cut(self._log, at, FIRST) for at in (self._at, done))
        begin = begin if self._at else 0
        middle = (begin + end) // 2
        self._runs.add(memoryview(self._log)[begin:middle])
        self.clock.advance(seconds)
        self._runs.add(memoryview(self._log)[middle:end], Lsn(FIRST + end + more))
        self._at = done
        run = self._runs.rest()
        assert run is not None
        assert run.raw == self._log[begin:end]
        return run


def test_log_that_comes_evenly_has_that_pace() -> None:
    server = _Server(3)
    for _ in range(3):
        run = server.writes(seconds=0.5)
        assert run.pace == pytest.approx(2 * len(run.raw), rel=0.01)


def test_what_came_in_a_burst_while_the_run_before_was_kept_has_the_pace_of_both() -> None:
    server = _Server(3)
    server.writes(seconds=0.5)
    run = server.writes(quiet=0.4, seconds=0.1)
    assert run.pace == pytest.approx(2 * len(run.raw), rel=0.01)
    burst = server.writes(seconds=0.1)
    assert 2 * len(run.raw) < burst.pace < 5 * len(run.raw)


def test_a_burst_after_quiet_is_not_pressed_as_if_it_had_come_slowly() -> None:
    server = _Server(3)
    server.writes(seconds=10, records=20)
    run = server.writes(quiet=600, seconds=0.5)
    assert run.pace == pytest.approx(len(run.raw) / 3.5, rel=0.01)
    assert server.writes(seconds=0.5).pace > 2 * run.pace


def test_who_is_far_behind_has_to_keep_what_waits_as_well() -> None:
    server = _Server(3)
    paces = [server.writes(seconds=0.5, more=more) for more in (0, RUN_BYTES, 4 * RUN_BYTES)]
    near, level, far = (run.pace for run in paces)
    assert level == pytest.approx(near, rel=0.01), "a run more is on its way anyway"
    seconds = 0.5 + 0.5 / 2 + 0.5 / 4
    assert far == pytest.approx(near + 3 * RUN_BYTES / seconds, rel=0.01)


def test_log_that_trickles_has_the_time_in_which_it_came() -> None:
    server = _Server(1)
    for _ in range(2):
        run = server.writes(seconds=10, records=1000)
        assert run.pace == pytest.approx(len(run.raw) / 10, rel=0.05)
