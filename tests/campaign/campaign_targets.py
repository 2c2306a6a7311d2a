"""P1: targets exactly at a commit's record, beside it, at a segment's edge, at the log's end."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from campaign.campaign_any_second import ask, kept
from integration.servers import Server, start_server
from journey.person import Person, a_person
from journey.world import until
from ports import free_port
from strongroom.postgres.server import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.journey]
SEGMENT = 1 << 20
_RECORD = re.compile(r"tx:\s+(\d+), lsn: ([0-9A-F]+)/([0-9A-F]+),.*desc: COMMIT")


def lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass
class History:
    """Transactions that bring a row each, and where the log has their commits."""

    person: Person
    server: Server
    xids: dict[int, int] = field(default_factory=dict)  # row -> transaction
    starts: dict[int, int] = field(default_factory=dict)  # row -> where its commit's record begins

    def position(self) -> int:
        asked = "select (pg_current_wal_insert_lsn() - '0/0')::bigint"
        return int(self.server.sql(asked)[0][0])

    def commit(self, n: int, *, across: bool = False) -> None:
        """`across`: the record begins in one segment and ends in the next."""
        emit = "select pg_logical_emit_message(false, '', repeat('x', %s))"
        with self.server.connect() as connection, connection.transaction():
            connection.execute("insert into entries values (%s)", (n,))
            (xid,) = connection.execute("select pg_current_xact_id()::text").fetchone() or ("",)
            while across and (left := SEGMENT - self.position() % SEGMENT) > 32:
                connection.execute(emit, (max(0, min(left - 400, 4000)) if left > 900 else 0,))
        self.xids[n] = int(xid)

    def find(self, first: int) -> None:
        """Where the commits are, as PostgreSQL's own program reads the log."""
        program = str(self.server.tools.program("pg_waldump"))
        log = str(self.server.data_directory / "pg_wal")
        words = [program, "-p", log, "--rmgr=Transaction", f"--start={lsn(first)}"]
        told = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        places = {int(x): (int(a, 16) << 32) + int(b, 16) for x, a, b in _RECORD.findall(told)}
        self.starts = {n: places[xid] for n, xid in self.xids.items() if xid in places}

    def at(self, n: int, microseconds: int = 0) -> str:
        """When row `n` was committed, or so much later."""
        later = f"pg_xact_commit_timestamp('{self.xids[n]}') + '{microseconds} us'::interval"
        form = "'YYYY-MM-DD\"T\"HH24:MI:SS.US'"
        ((text,),) = self.server.sql(f"select to_char(({later}) at time zone 'UTC', {form})")
        return f"{text}Z"

    def restored(self, *words: str) -> int:
        """The last row that is there; those before it are."""
        directory = self.person.home / "restored"
        where = ("--to-dir", str(directory), "--start", "--port", str(free_port()), "--yes")
        self.person.ok("restore", "orders", *words, *where)
        try:
            with psycopg.connect(scratch.running(directory).conninfo) as connection:
                rows = [n for (n,) in connection.execute("select n from entries order by n")]
        finally:
            scratch.stop(self.server.tools, directory, "immediate")
            shutil.rmtree(directory)
        assert rows == list(range(len(rows)))
        return rows[-1]


@contextlib.contextmanager
def a_history(major: int) -> Iterator[History]:
    """Rows 0 to 6: the commit of 4 lies across an edge, that of 6 is the last there is."""
    options = ("--wal-segsize=1",)
    settings = {"track_commit_timestamp": "on", "wal_keep_size": "256MB", "autovacuum": "off"}
    with start_server(major, options=options, **settings) as server, a_person() as person:
        found = History(person, server)
        server.sql("create table entries (n bigint)")
        person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
        person.ok("server", "set", "orders", "--keep-every-second", "7d")
        until("a stream", lambda: ask(person, "select 1 from wal_streams where timeline > 0"))
        found.commit(0)
        person.ok("backup", "orders")
        first = found.position()
        for n in (1, 2):
            found.commit(n)
        server.sql("select pg_create_restore_point('after two')")
        found.commit(3)
        found.commit(4, across=True)
        server.sql("select pg_switch_wal()")
        for n in (5, 6):
            found.commit(n)
        kept(person, server)
        found.find(first)
        yield found


@pytest.fixture(scope="module", params=[15, 18])
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    with a_history(request.param) as found:
        yield found


@pytest.mark.timeout(600)
def test_a_time_holds_what_was_committed_by_then_to_the_microsecond(history: History) -> None:
    assert history.restored("--at", history.at(2, -1)) == 1
    assert history.restored("--at", history.at(2)) == 2
    assert history.restored("--at", history.at(2, 1)) == 2
    assert history.restored("--at", history.at(2), "--before") == 1
    assert history.restored("--at", history.at(2, 1), "--before") == 2


@pytest.mark.timeout(600)
def test_a_position_holds_the_record_that_begins_there(history: History) -> None:
    start = history.starts[2]
    assert history.restored("--at-lsn", lsn(start)) == 2
    assert history.restored("--at-lsn", lsn(start), "--before") == 1
    assert history.restored("--at-lsn", lsn(start + 1)) == 2
    assert history.restored("--at-lsn", lsn(start + 1), "--before") == 2


@pytest.mark.timeout(600)
def test_a_transaction_and_a_name_hold_what_was_committed_by_then(history: History) -> None:
    xid = str(history.xids[3])
    assert history.restored("--at-xid", xid) == 3
    assert history.restored("--at-xid", xid, "--before") == 2
    assert history.restored("--at-name", "after two") == 2
    refused = history.person.run("plan", "orders", "--at-name", "after two", "--before")
    assert "goes with a time, a position or a transaction" in refused.stderr


@pytest.mark.timeout(600)
def test_a_commit_across_the_edge_of_a_segment_is_whole_or_not_there(history: History) -> None:
    start = history.starts[4]
    edge = start - start % SEGMENT + SEGMENT
    assert edge - start < 40
    assert history.restored("--at-lsn", lsn(start)) == 4
    assert history.restored("--at-lsn", lsn(start), "--before") == 3
    assert history.restored("--at-lsn", lsn(edge)) == 4
    assert history.restored("--at-xid", str(history.xids[4])) == 4


@pytest.mark.timeout(600)
def test_the_last_commit_that_is_kept_is_the_end_of_every_way(history: History) -> None:
    assert history.restored("--at", history.at(6)) == 6
    assert history.restored("--at", history.at(6), "--before") == 5
    assert history.restored("--at-lsn", lsn(history.starts[6])) == 6
    assert history.restored("--at-xid", str(history.xids[6])) == 6
    plan = history.person.json("plan", "orders", "--at", history.at(6, 1))
    assert isinstance(plan, dict)
    assert plan["capped"]
