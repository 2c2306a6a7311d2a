"""A full backup, streamed and from disk, beside pgbackrest.

Ours: zstd 1, sealed, sent to the storage endpoint, read again there, committed; from disk with
every page's checksum verified. pgbackrest: zst 3, aes-256-cbc, two processes, into a directory.
pg_basebackup as tar to /dev/null is the share of the raw reading.
"""

import subprocess
from pathlib import Path

from bench.ours import a_house
from bench.peers import a_pgbackrest, place_of, versions
from bench.results import Told, against, of_times
from bench.workload import fill, in_turn, timed

from integration.servers import Server, start_server

ROUNDS = 5
LARGE = 8.0  # gigabytes, from which on neither side's beginning and end tell
OURS = ("strongroom, streamed", "strongroom, from disk")


def measure(gigabytes: float) -> Told:
    """Three rounds; pages are checked on both sides."""
    with (
        start_server(15, options=("--data-checksums",), max_wal_size="8GB") as server,
        a_house() as ours,
        a_pgbackrest(server) as peer,
    ):
        size = fill(server, gigabytes)
        ours.protect("streamed", server.conninfo, "stream")
        ours.protect("from-disk", server.conninfo, "disk")
        contenders = {
            OURS[0]: lambda _: ours.back_up("streamed", full=True),
            OURS[1]: lambda _: ours.back_up("from-disk", full=True),
        }
        if peer is not None:
            contenders["pgbackrest"] = lambda _: timed(peer.back_up)
        contenders["pg_basebackup to /dev/null"] = lambda _: timed(lambda: _raw_read(server))
        times = in_turn(ROUNDS, contenders)
        return _told(size, times, ours.peak_mib, of="of 8 GB, " if gigabytes >= LARGE else "")


def _raw_read(server: Server) -> None:
    program = str(server.tools.program("pg_basebackup"))
    command = [program, *place_of(server), "-D", "-", "-Ft", "-X", "none", "-c", "fast"]
    with Path("/dev/null").open("wb") as null:
        subprocess.run(command, stdout=null, stderr=subprocess.DEVNULL, check=True)


_FIXED = (
    "A backup by pgbackrest begins and ends with some two seconds of its own, whatever the size: "
    "beside it, two gigabytes look better than each further one does. The larger server tells "
    "that."
)
_EACH = (
    "What limits ours is the processors. From the disk the compressor has two fifths of what they "
    "do, then come reading and the storage endpoint, which has the same two here; page checksums "
    "and digests have a twentieth. Streamed, the server's own process has a quarter."
)


def _told(size: int, times: dict[str, list[float]], peak: float, of: str) -> Told:
    lines, median = of_times(times, OURS)
    peer = median.get("pgbackrest")
    return Told(
        title=f"Full backup{' of a larger server' if of else ''}",
        text=[
            f"PostgreSQL 15, {size / 1e9:.2f} GB of databases. {versions()}",
            "",
            *lines,
            "",
            _EACH if of else _FIXED,
        ],
        ratios=[
            *against(f"full, {of}from disk, vs pgbackrest", 0.35, median[OURS[1]], peer),
            *against(f"full, {of}streamed, vs pgbackrest", 0.55, median[OURS[0]], peer),
        ],
        bars=list(median.items()),
        peak_mib=peak,
    )
