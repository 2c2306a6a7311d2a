"""A primary and its standby, and a chain of backups of both."""

import contextlib
from collections.abc import Iterator

from engine_rows import follow, until
from increments import Chain, a_chain
from integration.copies import back_up
from integration.servers import Server, open_directory, run_restored, start_server


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
