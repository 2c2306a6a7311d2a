"""Restore of the newest of 31 points beside restore of the first: does a chain grow dearer?

One full backup and thirty increments at 1 % of pages each, a VACUUM FULL and a REINDEX among them.
"""

from bench.ours import a_house
from bench.peers import a_directory
from bench.results import Told, against, of_times
from bench.workload import day, fill, in_turn

from integration.servers import own, start_server

DAYS = 30
ROUNDS = 5
FIRST, NEWEST = "strongroom, first of 31", "strongroom, newest of 31"


def measure(gigabytes: float) -> Told:
    """Five rounds."""
    with (
        start_server(18, summarize_wal="on", max_wal_size="8GB") as server,
        a_house() as ours,
        a_directory() as root,
    ):
        own(root)
        size = fill(server, gigabytes, fillfactor=90)
        ours.protect("orders", server.conninfo)
        for number in range(DAYS + 1):
            if number:
                day(server, number)
            ours.back_up("orders")
        newest, *_, first = ours.points("orders")

        contenders = {
            FIRST: lambda number: ours.restore("orders", first, root / f"first-{number}"),
            NEWEST: lambda number: ours.restore("orders", newest, root / f"newest-{number}"),
        }
        times = in_turn(ROUNDS, contenders, leaving=root)
        lines, median = of_times(times, [NEWEST])
        kinds = ", ".join(ours.kinds("orders"))
        return Told(
            title="Restore of the newest of 31 points",
            text=[f"PostgreSQL 18, {size / 1e9:.2f} GB of databases; {kinds}.", "", *lines],
            ratios=against(
                "restore of the newest of 31 vs the first", 1.2, median[NEWEST], median[FIRST]
            ),
            bars=list(median.items()),
            peak_mib=ours.peak_mib,
        )
