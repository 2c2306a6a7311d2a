"""What the servers hold, and how it changes."""

import subprocess
import time
from collections.abc import Callable, Mapping

from bench.peers import place_of

from integration.servers import Server


def fill(server: Server, gigabytes: float, *, fillfactor: int = 100) -> int:
    """pgbench's tables for three quarters, JSON documents for the rest; returns the bytes."""
    scale = max(1, int(gigabytes * 0.75 * 66))
    run(server, "pgbench", "-i", "-q", "-s", str(scale), "-F", str(fillfactor))
    rows = int(gigabytes * 0.25 * 5_000_000)
    server.sql(
        "create table documents as select g as id, jsonb_build_object('user', g % 5000, "
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
    rounds: int, contenders: Mapping[str, Callable[[int], float]]
) -> dict[str, list[float]]:
    """Each once a round, told the round's number; the seconds that each reports."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, act in contenders.items():
            times[name].append(act(number))
    return times


def churn(server: Server, number: int, share: float = 0.01) -> None:
    """Change one row in that share of the pages of pgbench_accounts, scattered by chance.

    The table wants a fillfactor of 90: the new row then fits into the page of the old one, so that
    the share is of pages, and no index changes. `number` seeds the chance.
    """
    server.sql(
        f"select setseed({(number % 100) / 100})",
        "with pages as (select distinct floor(random() * pages)::bigint as page from "
        "(select pg_relation_size('pgbench_accounts') / 8192 as pages) sized, "
        f"generate_series(1, (pages * {share})::bigint)), "
        "chosen as (select ('(' || page || ',' || 1 + floor(random() * 40)::int || ')')::tid "
        "as place from pages) update pgbench_accounts set abalance = abalance + 1 "
        "where ctid = any (array(select place from chosen))",
        "checkpoint",
    )


def day(server: Server, number: int) -> str:
    """One day of thirty: churn, and on two of them what rewrites a table or its index."""
    churn(server, number)
    what = {10: "vacuum full pgbench_accounts", 20: "reindex table pgbench_accounts"}.get(number)
    if what is not None:
        server.sql(what, "checkpoint")
    return what or "churn"
