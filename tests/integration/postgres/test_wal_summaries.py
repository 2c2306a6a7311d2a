"""What we read out of a server's WAL summaries is what the server itself says of them."""

import pytest

from integration.servers import Server, some, start_server
from strongroom.model.postgres import lsn_from_text
from strongroom.postgres.backup.changed_blocks import summaries_of
from strongroom.postgres.wire.wal_summary_file import SummaryRange, parse_wal_summary

pytestmark = pytest.mark.postgres

_CONTENTS = """
select reltablespace::int, reldatabase::int, relfilenode::int, relforknumber::int,
       relblocknumber::int, is_limit_block
from pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn)
where s.end_lsn > '{start}' and s.start_lsn < '{end}'
"""


def checkpoint(server: Server) -> str:
    """Where log begins that has been summarized up to there."""
    server.sql("checkpoint")
    [(redo,)] = server.sql("select redo_lsn::text from pg_control_checkpoint()")
    while not server.sql(
        f"select 1 from pg_get_wal_summarizer_state() where summarized_lsn >= '{redo}'"
    ):
        server.sql("select pg_sleep(0.05)")
    return str(redo)


@pytest.mark.parametrize("major", some(17, of=(17, 18)))
def test_ours_is_what_the_server_says(major):
    with start_server(major, summarize_wal="on", autovacuum="off") as server:
        server.sql(
            "create table t (n int, s text) with (fillfactor = 50)",
            "insert into t select g, repeat('x', 300) from generate_series(1, 60000) g",
            "create table cut as select * from t",
        )
        start = checkpoint(server)
        server.sql(
            "update t set n = -n where n % 61 = 0",
            "delete from cut where n > 100",
            "vacuum cut",
            "update t set s = repeat('y', 300)",
        )
        end = checkpoint(server)
        span = SummaryRange(1, lsn_from_text(start), lsn_from_text(end))
        found = [
            fork
            for path in summaries_of(server.data_directory, span)
            for fork in parse_wal_summary(path.read_bytes())
        ]
        said = server.sql(_CONTENTS.format(start=start, end=end))
    keys = {id(f): (f.tablespace, f.database, f.relation, f.fork) for f in found}
    ours = {(*keys[id(f)], block) for f in found for block in f.blocks.tolist()}
    limits = {(*keys[id(f)], f.limit) for f in found if f.limit is not None}
    rows = [(*map(int, row[:5]), row[5] in {True, "t", "true"}) for row in said]
    assert ours == {row[:5] for row in rows if not row[5]}
    assert limits == {row[:5] for row in rows if row[5]}
    assert len(ours) > 4096, "more than a chunk keeps as numbers"
    assert limits, "one was cut off"
