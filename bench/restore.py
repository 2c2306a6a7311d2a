"""A full point as a new data directory, beside `pgbackrest restore` and `cp -a` of the directory.

Ours fetches from the storage endpoint, decrypts, decompresses, checks every file against
PostgreSQL's own manifest and syncs. pgbackrest does as much from a directory, with two processes.
`cp -a` copies in the kernel and leaves the writing for later; with `sync` it does not. A directory
that was just filled lies in the page cache, where no copy that is kept for bad days does: it is
copied once out of memory and once off the disk. What ours and pgbackrest read lies on the disk.

Half of the agent's CPU time is the kernel's filling of its page cache (perf: pwrite 48 %, making
files 10 %, decompressing 10 %). A virtual machine whose host takes free memory back pays for that
anew: 2 s for each GB where memory that was in use a moment ago costs 0.25 s. All pay alike.
"""

import subprocess
from pathlib import Path

from bench.ours import Ours, a_house
from bench.peers import PgBackRest, a_directory, a_pgbackrest, versions
from bench.results import Told, against, of_times
from bench.workload import cold, fill, in_turn, timed, warm

from integration.servers import Server, own, start_server

ROUNDS = 5
MEMORY, DISK = "cp -a, out of memory", "cp -a, off the disk"


def measure(gigabytes: float) -> Told:
    """Five rounds, each into a new directory."""
    with (
        start_server(15, max_wal_size="8GB") as server,
        a_house() as ours,
        a_pgbackrest(server) as peer,
        a_directory() as root,
    ):
        size = fill(server, gigabytes)
        ours.protect("orders", server.conninfo)
        ours.back_up("orders")
        if peer is not None:
            peer.back_up()
        own(root)
        times = _rounds(server, ours, peer, root)
        return _told(size, times, ours.peak_mib)


def _rounds(
    server: Server, ours: Ours, peer: PgBackRest | None, root: Path
) -> dict[str, list[float]]:
    (point,) = ours.points("orders")

    def restored(number: int) -> float:
        cold(ours.house.directory)
        return ours.restore("orders", point, root / f"ours-{number}")

    def copied(number: int, *, sync: bool = False, off_the_disk: bool = False) -> float:
        target = root / f"copy-{number}-{sync}-{off_the_disk}"
        if off_the_disk:
            cold(server.data_directory)
        else:
            warm(server.data_directory)

        def act() -> None:
            subprocess.run(["cp", "-a", server.data_directory, target], check=True)
            if sync:
                subprocess.run(["sync", "-f", target], check=True)

        return timed(act)

    def theirs(number: int) -> float:
        assert peer is not None
        cold(peer.home)
        return timed(lambda: peer.restore(root / f"peer-{number}"))

    contenders = {"strongroom": restored, "pgbackrest restore": theirs}
    if peer is None:
        del contenders["pgbackrest restore"]
    contenders[MEMORY] = copied
    contenders[f"{MEMORY}, and sync"] = lambda number: copied(number, sync=True)
    contenders[DISK] = lambda number: copied(number, off_the_disk=True)
    return in_turn(ROUNDS, contenders, leaving=root)


def _told(size: int, times: dict[str, list[float]], peak: float) -> Told:
    lines, median = of_times(times, ["strongroom"])
    mine = median["strongroom"]
    return Told(
        title="Restore of a full point",
        text=[f"PostgreSQL 15, {size / 1e9:.2f} GB of databases. {versions()}", "", *lines],
        ratios=[
            *against("restore vs pgbackrest restore", 0.9, mine, median.get("pgbackrest restore")),
            *against("restore vs `cp -a` off the disk", 1.4, mine, median[DISK]),
            *against("restore vs `cp -a` out of memory", 1.4, mine, median[MEMORY]),
        ],
        bars=list(median.items()),
        peak_mib=peak,
    )
