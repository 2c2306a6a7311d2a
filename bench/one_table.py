"""One 50 MB table out of a physical point, beside a full restore and pg_dump of it.

Both end with a dump of the same table on disk and no server that runs. What both read of the
vault lies on the disk.
"""

import subprocess
from pathlib import Path

from bench.ours import Ours, a_house
from bench.peers import a_directory
from bench.results import Ratio, Told, of_times
from bench.workload import cold, fill, in_turn, timed

from integration.servers import Server, own, start_server
from ports import free_port
from strongroom.postgres.server import scratch

ROUNDS = 5
TABLE, WHOLE = "one table", "full restore and pg_dump"


def measure(gigabytes: float) -> Told:
    """The table is of the kind of pgbench_accounts, 50 MB with its index."""
    with (
        start_server(15, max_wal_size="8GB") as server,
        a_house() as ours,
        a_directory() as root,
    ):
        server.sql(
            "create table wanted as select n, n % 10 as branch, 0 as balance, "
            "repeat(' ', 84)::char(84) as filler from generate_series(1, 380000) n",
            "create index on wanted (n)",
        )
        size = fill(server, gigabytes)
        ours.protect("orders", server.conninfo)
        ours.back_up("orders")
        own(root)
        return _told(size, *_rounds(server, ours, root))


def _rounds(server: Server, ours: Ours, root: Path) -> tuple[dict[str, list[float]], float]:
    """(seconds of each, bytes fetched of the part / of all)."""
    (point,) = ours.points("orders")
    fetched: dict[str, int] = {}

    def part(number: int) -> float:
        cold(ours.house.directory)
        seconds = ours.dump_table("orders", point, "wanted", root / f"part-{number}")
        fetched[TABLE] = ours.fetched
        return seconds

    def whole(number: int) -> float:
        cold(ours.house.directory)
        target, port = root / f"whole-{number}", free_port()
        seconds = ours.restore("orders", point, f"{target}?start=true&port={port}")
        fetched[WHOLE] = ours.fetched
        return seconds + timed(lambda: _dump(server, target, port))

    times = in_turn(ROUNDS, {TABLE: part, WHOLE: whole}, leaving=root)
    return times, fetched[TABLE] / fetched[WHOLE]


def _dump(server: Server, target: Path, port: int) -> None:
    """The table of the restored server, which is stopped."""
    command = [str(server.tools.program("pg_dump")), "-Fc", "-Z1", "-t", "wanted", "postgres"]
    words = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
    with (target / "wanted.dump").open("wb") as file:
        subprocess.run([*command, *words], stdout=file, check=True)
    scratch.stop(server.tools, target, "immediate")


def _told(size: int, times: dict[str, list[float]], fetched: float) -> Told:
    lines, median = of_times(times, [TABLE])
    return Told(
        title="One 50 MB table out of a physical point",
        text=[
            f"PostgreSQL 15, {size / 1e9:.2f} GB of databases; medians of {ROUNDS}. "
            f"One table fetches {fetched:.3f} of the bytes.",
            "",
            *lines,
        ],
        ratios=[
            Ratio(
                "one table vs full restore and pg_dump, time", median[TABLE] / median[WHOLE], 0.25
            ),
            Ratio("one table vs the same, bytes fetched", fetched, 0.1),
        ],
        bars=[("strongroom, one table", median[TABLE]), (WHOLE, median[WHOLE])],
    )
