"""An increment after pgbench's transactions, beside `pg_basebackup --incremental` to a directory.

PostgreSQL 18 with summarize_wal. After each round of transactions both back up the same changes,
each since its own previous one. Ours reads, compresses, seals, stores and commits; theirs writes.
A round in which ours begins a new generation (the last point had become too scattered) is told and
not compared: it is a full backup.
"""

import statistics
from pathlib import Path
from typing import NamedTuple

from bench.ours import Ours, a_house, size_of
from bench.peers import a_directory
from bench.results import Ratio, Told, table
from bench.workload import fill, run, timed

from integration.servers import Server, start_server

ROUNDS = 5
TRANSACTIONS = 40_000


def measure(gigabytes: float) -> Told:
    """Rounds on a base of each."""
    with (
        start_server(18, summarize_wal="on", max_wal_size="8GB") as server,
        a_house() as ours,
        a_directory() as home,
    ):
        size = fill(server, gigabytes)
        ours.protect("orders", server.conninfo)
        ours.back_up("orders")
        _theirs(server, home / "0", None)
        rows = [_round(server, ours, home, number) for number in range(1, ROUNDS + 1)]
        return _told(size, rows, ours.peak_mib)


class Round(NamedTuple):
    """Seconds and bytes of both; `kind` of ours."""

    kind: str
    mine: float
    theirs: float
    my_bytes: int
    their_bytes: int


def _round(server: Server, ours: Ours, home: Path, number: int) -> Round:
    run(server, "pgbench", "-n", "-c", "2", "-t", str(TRANSACTIONS // 2))
    server.sql("checkpoint")  # neither pays for writing out what pgbench left
    before = ours.stored()
    here, older = home / str(number), home / str(number - 1)
    turns = [lambda: ours.back_up("orders"), lambda: timed(lambda: _theirs(server, here, older))]
    order = sorted(range(2), key=lambda turn: (turn + number) % 2)  # each is the first in its turn
    seconds = {turn: turns[turn]() for turn in order}
    kind = ours.newest_kind("orders")
    return Round(kind, seconds[0], seconds[1], ours.stored() - before, size_of(here))


def _theirs(server: Server, into: Path, since: Path | None) -> None:
    more = [f"--incremental={since / 'backup_manifest'}"] if since else []
    run(server, "pg_basebackup", "-D", str(into), "-c", "fast", *more)


def _told(size: int, rows: list[Round], peak: float) -> Told:
    compared = [each[1:] for each in rows if each.kind == "Incremental"]
    mine, theirs, my_bytes, their_bytes = (
        statistics.median(column) for column in zip(*compared, strict=True)
    )
    head = ["ours", "ours s", "theirs s", "ratio", "ours MB", "theirs MB", "ratio"]
    lines = [
        [each.kind, *_pair(each.mine, each.theirs, ".2f"), *_megabytes(each)] for each in rows
    ]
    intro = f"PostgreSQL 18, {size / 1e9:.2f} GB of databases, {TRANSACTIONS:,} transactions."
    return Told(
        title="Increment after pgbench's transactions",
        text=[intro, "", *table(head, lines)],
        ratios=[
            Ratio("increment vs `pg_basebackup --incremental`, time", mine / theirs, 1.0),
            Ratio("increment vs the same, bytes", my_bytes / their_bytes, 0.11),
        ],
        bars=[("strongroom", my_bytes / 1e6), ("pg_basebackup --incremental", their_bytes / 1e6)],
        unit="MB stored",
        peak_mib=peak,
    )


def _megabytes(each: Round) -> list[str]:
    return _pair(each.my_bytes / 1e6, each.their_bytes / 1e6, ".1f")


def _pair(mine: float, theirs: float, digits: str) -> list[str]:
    return [f"{mine:{digits}}", f"{theirs:{digits}}", f"{mine / theirs:.3f}"]
