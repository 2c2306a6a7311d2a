"""PostgreSQL 18 with and without its WAL summaries: what can serve does, and the rest is told."""

from collections.abc import Iterator

import pytest

from increments import Chain, a_chain
from integration.servers import start_server

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        start_server(18, summarize_wal="on", autovacuum="off") as server,
        a_chain(server) as found,
    ):
        server.sql(
            "create table t as select g, repeat('a', 400) s from generate_series(1, 5000) g"
        )
        yield found


def switch(chain: Chain, state: str) -> None:
    chain.server.sql(
        f"alter system set summarize_wal = {state}", "select pg_reload_conf()", "select 1"
    )
    while chain.server.sql("show summarize_wal") != [(state,)]:
        chain.server.sql("select pg_sleep(0.05)")


def lose_summaries(chain: Chain) -> None:
    """All that the server has so far: it does not write them a second time."""
    server = chain.server
    server.sql("checkpoint", "create table if not exists n (i int)", "insert into n values (1)")
    [(here,)] = server.sql("select pg_current_wal_lsn()")
    server.sql("checkpoint")
    while not server.sql(
        f"select 1 from pg_get_wal_summarizer_state() where summarized_lsn >= '{here}'"
    ):
        server.sql("select pg_sleep(0.05)")
    for file in (server.data_directory / "pg_wal" / "summaries").glob("*.summary"):
        file.unlink()


def test_where_summaries_come_and_go(chain):
    """One story, for each step leans on the one before."""
    server = chain.server
    chain.back_up()
    assert not chain.manifests[0].page_versions
    server.sql("update t set s = 'b' where g = 7")
    told = chain.back_up()
    assert told.kind == "Incremental"
    switch(chain, "off")
    server.sql("update t set s = 'c' where g = 8")
    told = chain.back_up()
    assert told.kind == "Full"
    assert "no page versions" in told.why_full
    server.sql("update t set s = 'd' where g = 9")
    told = chain.back_up()
    assert (told.kind, told.why_full) == ("Incremental", "")
    assert told.read_bytes < told.raw_bytes / 2
    switch(chain, "on")
    server.sql("update t set s = 'e' where g = 10")
    lose_summaries(chain)
    told = chain.back_up()
    assert told.kind == "Incremental", "what the server cannot tell, the pages do"
    assert told.read_bytes < told.raw_bytes / 2
    assert chain.manifests[-1].page_versions
    with chain.restored(4) as clone:
        assert clone.digests() == server.digests()
    told = chain.back_up()
    assert told.kind == "Incremental", "from here on there are summaries again"
    assert not chain.manifests[-1].page_versions
    lose_summaries(chain)
    told = chain.back_up()
    assert told.kind == "Full"
    assert "no WAL summaries" in told.why_full
