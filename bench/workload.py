"""What the servers hold, and how it changes."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.peers import place_of

from integration.servers import Server

_FILES, _CHEAP = 200, 0.06e-3  # seconds each
_LOOKS, _LOOK = 24, 15.0


def fill(server: Server, gigabytes: float, *, fillfactor: int = 100) -> int:
    """pgbench's tables for three quarters, JSON documents for the rest; returns the bytes."""
    scale = max(1, int(gigabytes * 0.75 * 66))
    run(server, "pgbench", "-i", "-q", "-s", str(scale), "-F", str(fillfactor))
    rows = int(gigabytes * 0.25 * 5_000_000)
    server.sql(
        f"create table documents with (fillfactor = {fillfactor}) as "
        "select g as id, jsonb_build_object('user', g % 5000, "
        "'page', md5(g::text), 'ms', g % 731, 'tags', array[md5((g * 3)::text)]) as body "
        f"from generate_series(1, {rows}) g"
    )
    server.sql("vacuum freeze", "checkpoint")
    return int(server.sql("select sum(pg_database_size(oid)) from pg_database")[0][0])


def run(server: Server, program: str, *words: str) -> None:
    """One of PostgreSQL's programs, on the database `postgres`."""
    command = [str(server.tools.program(program)), *place_of(server), *words]
    if program == "pgbench":
        command.append("postgres")
    subprocess.run(command, check=True, capture_output=True)


def timed(act: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def in_turn(
    rounds: int,
    contenders: Mapping[str, Callable[[int], float]],
    leaving: Path | None = None,
) -> dict[str, list[float]]:
    """Each once a round, told the round's number, another one first each time; their seconds.

    Of what they leave beneath `leaving` each file is emptied after each round and removed by the
    caller at the end: an ext4 without a journal passes over inodes that were deleted within
    minutes, one by one, which makes the next one's files dear (0.7 ms instead of 0.02). So that
    no bench pays for the one before, the first round waits until they are cheap.
    """
    if leaving is not None:
        _await_cheap_files(leaving)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for name in [*contenders][first:] + [*contenders][:first]:
            times[name].append(contenders[name](number))
            os.sync()
        if leaving is not None:
            for path in leaving.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    os.truncate(path, 0)
            os.sync()
    return times


def _await_cheap_files(place: Path) -> None:
    """Whoever deletes nothing waits for six minutes at most."""
    for number in range(_LOOKS):
        os.sync()
        probe = place / f"probe-{number}"
        probe.mkdir()
        seconds = timed(lambda here=probe: [(here / str(n)).touch() for n in range(_FILES)])
        if seconds < _FILES * _CHEAP:
            return
        time.sleep(_LOOK)


_CHANGES = {
    "pgbench_accounts": "abalance = abalance + 1",
    "documents": "body = jsonb_set(body, '{ms}', to_jsonb((random() * 731)::int))",
}


def cold(*places: Path) -> None:
    """Below each: every file is on the disk, and what the page cache holds of it is let go.

    Source: posix_fadvise(2), POSIX_FADV_DONTNEED.
    """
    for path in (file for place in places for file in place.rglob("*") if file.is_file()):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def warm(place: Path) -> None:
    """Every file below it lies in the page cache, if that has room for all."""
    for path in place.rglob("*"):
        if path.is_file():
            path.read_bytes()


def churn(server: Server, number: int, share: float = 0.01) -> None:
    """Change one row in that share of the pages of both tables, scattered by chance.

    The tables want a fillfactor of 90: the new row then fits into the page of the old one, so that
    the share is of pages, and no index changes. `number` seeds the chance.
    """
    for table, change in _CHANGES.items():
        server.sql(
            f"select setseed({number / 100})",
            f"with sized as (select pg_relation_size('{table}') / 8192 as pages), "
            "chosen as (select ('(' || floor(random() * pages)::bigint || ',' || "
            "1 + floor(random() * 20)::int || ')')::tid as place "
            f"from sized, generate_series(1, (pages * {share})::bigint)) "
            f"update {table} set {change} where ctid = any (array(select place from chosen))",
        )
    server.sql("checkpoint")


def day(server: Server, number: int) -> str:
    """One day of thirty: churn, and on two of them what rewrites a table or its index."""
    churn(server, number)
    what = {10: "vacuum full pgbench_accounts", 20: "reindex table pgbench_accounts"}.get(number)
    if what is not None:
        server.sql(what, "checkpoint")
    return what or "churn"
