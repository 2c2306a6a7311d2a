"""A run of log is condensed where there is time for it, and kept as it is otherwise."""

import structlog

import log_made
from seams import SystemChance, SystemClock
from strongroom.agent.wal import sealing
from strongroom.agent.wal.run import Run
from strongroom.agent.wal.sealing import MOST_RECORDS, RangeSealer
from strongroom.datastore.packs.pack import CONDENSED, PACK
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.packs.wal_pack import log_header, open_any_log
from strongroom.model.postgres import Lsn, Timeline

FIRST = 4 * log_made.SEGMENT
PAIR = KeyPair.generate(SystemChance())


def a_run(records_a_second: float) -> Run:
    writer, count = log_made.Writer(FIRST), 5000
    for _ in range(count):
        writer.writes(b"about as much as a row of pgbench's")
    raw = bytes(writer.log)
    pace = len(raw) / count * records_a_second
    return Run(Timeline(1), Lsn(FIRST), Lsn(FIRST + len(raw)), raw, [], pace, count)


def kept(run: Run) -> bytes:
    """The kind of pack that it becomes; what was kept comes back."""
    sealer = RangeSealer(PAIR.public, SystemClock(), SystemChance(), structlog.get_logger())
    sealed = sealer.seal(run, log_made.SEGMENT)
    assert open_any_log(sealed, lambda _: PAIR, FIRST) == run.raw
    return log_header(sealed).magic


def test_log_is_condensed_unless_it_has_more_records_than_there_is_time_for() -> None:
    assert kept(a_run(1000)) == CONDENSED
    assert kept(a_run(0.99 * MOST_RECORDS)) == CONDENSED
    assert kept(a_run(1.01 * MOST_RECORDS)) == PACK


def test_log_that_does_not_come_back_is_kept_as_it_is(monkeypatch) -> None:
    whole = sealing.condense
    monkeypatch.setattr(sealing, "condense", lambda *told: whole(*told)[:-1])
    assert kept(a_run(1000)) == PACK
