"""P6: primary and standby in turn, and a standby at rest: each point has the rows of its time."""

import contextlib
from collections.abc import Iterator

import pytest

from engine_rows import follow, until
from increments import Chain, a_chain
from integration.copies import back_up
from integration.servers import Server, open_directory, run_restored, some, start_server

pytestmark = [pytest.mark.postgres, pytest.mark.P6]


@contextlib.contextmanager
def a_pair(major: int) -> Iterator[tuple[Server, Server, Chain]]:
    settings = {"summarize_wal": "on"} if major >= 17 else {}
    with start_server(major, autovacuum="off", **settings) as primary, open_directory() as place:
        primary.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g")
        back_up(primary.parsed()).restore(place / "standby")
        follow(primary, place / "standby")
        with run_restored(primary, place / "standby") as standby, a_chain(primary) as chain:
            yield primary, standby, chain


def changed(primary: Server, standby: Server, number: int) -> None:
    """A little more, which the standby has too."""
    primary.sql(
        f"update t set md5 = 'change {number}' where g % 500 = {number}",
        f"insert into t values (-{number}, 'new')",
    )
    wait_for(primary, standby)


def wait_for(primary: Server, standby: Server) -> None:
    [(here,)] = primary.sql("select pg_current_wal_lsn()")
    until(standby, f"select pg_last_wal_replay_lsn() >= '{here}'")


@pytest.mark.parametrize("major", some(17))
def test_points_of_primary_and_standby_lean_on_each_other(major):
    with a_pair(major) as (primary, standby, chain):
        wanted = []
        for number, server in enumerate((primary, standby, standby, primary, standby)):
            changed(primary, standby, number)
            primary.sql("checkpoint")  # of which the standby can make a restart point
            wait_for(primary, standby)
            chain.back_up(server)
            wanted.append(primary.digests())
        kinds = [told.kind for told in chain.results]
        assert kinds == ["Full", *["Incremental"] * 4], [told.why_full for told in chain.results]
        for number in (2, 3, 4):
            with chain.restored(number) as clone:
                assert clone.digests() == wanted[number]


@pytest.mark.parametrize("major", some(16))
def test_a_standby_at_rest_is_backed_up_again_and_again(major):
    """No restart point has come since the parent: what the summaries cannot serve is read."""
    with a_pair(major) as (primary, standby, chain):
        for _ in range(3):
            chain.back_up(standby)
        changed(primary, standby, 1)
        chain.back_up(standby)
        assert all(told.why_full for told in chain.results[1:] if told.kind == "Full")
        with chain.restored(3) as clone:
            assert clone.digests() == primary.digests()
