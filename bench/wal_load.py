"""A server whose log is streamed into a vault: load for it, and what the stream makes of it."""

import contextlib
import os
import random
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from bench.workload import run

from integration.servers import Server
from journey.person import Person, a_person
from journey.world import until

_LOOK = 0.05  # seconds between looks at how far the vault is
_TAIL = 3.0  # of a load whose end is not counted: what comes last waits for more
_SAMPLE = (
    "select extract(epoch from clock_timestamp())::float8, "
    "(pg_current_wal_lsn() - '0/0')::bigint, "
    "(select (max(flush_lsn) - '0/0')::bigint from pg_stat_replication)"
)
# Not by counting: that prunes every page, which is log as well.
_ROWS = "select max(aid) from pgbench_accounts"
_BATCH = (
    "update pgbench_accounts set abalance = abalance + 1 where aid = any(%s)",
    "insert into pgbench_history (tid, bid, aid, delta, mtime) "
    "select 1, 1, aid, 1, now() from unnest(%s) as aid",
)


class Streamed:
    """A server `orders` and the agent that streams its log."""

    def __init__(self, person: Person, server: Server) -> None:
        self.person = person
        self.server = server
        person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
        person.ok("server", "set", "orders", "--keep-every-second", "7d")
        until("a stream", lambda: self._ask("select 1 from wal_streams where timeline > 0"))

    @property
    def agent_cpu(self) -> float:
        """Seconds of CPU that the agent has had. Source: proc(5), utime and stime."""
        pid = self.person.child("agent")
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> int:
        """The log so far, up to the end of its segment and little more."""
        self.server.sql("select pg_switch_wal()", "select pg_create_restore_point('bench')")
        return self.position()

    def position(self) -> int:
        ((end,),) = self.server.sql("select (pg_current_wal_lsn() - '0/0')::bigint")
        return int(end)

    def kept(self, end: int) -> None:
        """Wait until the vault has it."""
        reached = f"select 1 from wal_streams where end_lsn >= {end}"
        until("the log in the vault", lambda: self._ask(reached), 120)

    def stored(self, start: int, end: int) -> int:
        """Bytes of the packs that hold this stretch."""
        where = f"start_lsn >= {start} and end_lsn <= {end}"
        ((size,),) = self._ask(f"select sum(size) from wal_packs where {where}")
        return int(size)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        place = f"file:{self.person.data}/serve/catalogue.sqlite?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True)) as connection:
            return connection.execute(query).fetchall()


@contextmanager
def streamed(server: Server) -> Iterator[Streamed]:
    """Within: its log goes into the vault."""
    with a_person() as person:
        yield Streamed(person, server)


class Watch:
    """Within: how far the vault is behind is looked at, and what the agent's CPU has to do."""

    def __init__(self, log: Streamed) -> None:
        self._log = log
        self._samples: list[tuple[float, int, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")

    def __enter__(self) -> "Watch":
        self._start, self._began = self._log.position(), time.monotonic()
        self._cpu = self._log.agent_cpu
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self.cpu = (self._log.agent_cpu - self._cpu) / self.seconds
        self.written = self._log.position() - self._start
        end = self._log.end()
        self._log.kept(end)
        until("PostgreSQL to be told", lambda: self._samples[-1][2] >= end)
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        with self._log.server.connect() as connection:
            while not self._stop.wait(_LOOK):
                for at, written, kept in connection.execute(_SAMPLE):
                    self._samples.append((at, written, kept or 0))

    @property
    def rate(self) -> float:
        """Megabytes of log a second."""
        return self.written / self.seconds / 1e6

    def lags(self) -> list[float]:
        """Of every look: seconds until the vault had what was written by then, in order."""
        found, first = [], self._samples[0][0]
        for number, (at, written, _) in enumerate(self._samples):
            if at - first > self.seconds - _TAIL:
                break
            later = (then for then, _, kept in self._samples[number:] if kept >= written)
            found.append(next(later) - at)
        return sorted(found)


def of_lags(lags: list[float]) -> tuple[float, float, float]:
    """(median, 99 of 100, the most)."""
    return statistics.median(lags), lags[int(len(lags) * 0.99)], lags[-1]


def at_full_speed(server: Server, seconds: float) -> None:
    """pgbench's own transactions, four clients."""
    run(server, "pgbench", "-n", "-c", "4", "-j", "2", "-T", str(int(seconds)))


def at_rate(server: Server, transactions: int, seconds: float) -> None:
    """The same, so many a second."""
    words = ["-n", "-c", "4", "-j", "2", "-R", str(transactions)]
    run(server, "pgbench", *words, "-T", str(int(seconds)))


def paced(server: Server, bytes_a_second: float, seconds: float) -> None:
    """So much log a second: rows of pgbench's changed by chance, forty in a transaction."""
    chance = random.Random(20)  # noqa: S311 - drawn rows, no secret
    with server.connect() as connection:
        ((rows,),) = connection.execute(_ROWS)
        begun = time.monotonic()
        ((start,),) = connection.execute("select (pg_current_wal_lsn() - '0/0')::bigint")
        while (passed := time.monotonic() - begun) < seconds:
            ((now,),) = connection.execute("select (pg_current_wal_lsn() - '0/0')::bigint")
            if now - start > passed * bytes_a_second:
                time.sleep(0.005)
                continue
            change(connection, [chance.randrange(1, rows + 1) for _ in range(40)])


def as_much_as(server: Server, size: int) -> None:
    """So many bytes of log, fast: two thousand rows in a transaction."""
    chance = random.Random(21)  # noqa: S311 - drawn rows, no secret
    with server.connect() as connection:
        ((rows,),) = connection.execute(_ROWS)
        ((start,),) = connection.execute("select (pg_current_wal_lsn() - '0/0')::bigint")
        while True:
            ((now,),) = connection.execute("select (pg_current_wal_lsn() - '0/0')::bigint")
            if now - start >= size:
                return
            change(connection, [chance.randrange(1, rows + 1) for _ in range(2000)])


def change(connection: psycopg.Connection[Any], chosen: list[int]) -> None:
    """Those rows of pgbench's, and as many lines in its history."""
    with connection.transaction():
        for statement in _BATCH:
            connection.execute(statement, (chosen,))
