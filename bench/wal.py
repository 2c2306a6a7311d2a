"""A server's log as it is streamed: how far behind, at what cost, how small, beside pgbackrest.

The lag of a moment is the time until PostgreSQL is told that the vault keeps what was written by
then; looked at twenty times a second. pgbackrest archives the same segments afterwards, so that
it takes nothing from the machine meanwhile.
"""

import shutil
from collections.abc import Callable

from bench.peers import PgBackRest, a_directory, a_pgbackrest, versions
from bench.results import Ratio, Told, against, table
from bench.wal_load import Streamed, Watch, at_full_speed, at_rate, of_lags, paced, streamed
from bench.workload import run

from integration.servers import Server, own, start_server
from strongroom.model.postgres import Lsn, Timeline
from strongroom.postgres.log.walstream import segment_name

SEGMENT = 16 << 20
FULL, PACED, DAY = "pgbench at full speed", "20 MB/s", "pgbench, 100 a second"
SECONDS = {FULL: 40.0, PACED: 25.0, DAY: 50.0}


def measure(gigabytes: float) -> Told:
    """Three loads, one after the other; `gigabytes` of tables."""
    # Autovacuum would write as much log again in the middle of the load that is to have a pace.
    settings = {"shared_buffers": "512MB", "max_wal_size": "2GB", "autovacuum": "off"}
    settings["wal_keep_size"] = "8GB"
    with (
        start_server(15, **settings) as server,
        streamed(server) as log,
        a_pgbackrest(server) as peer,
    ):
        run(server, "pgbench", "-i", "-q", "-s", str(max(1, int(gigabytes * 66))))
        loads: dict[str, Callable[[float], None]] = {
            FULL: lambda seconds: at_full_speed(server, seconds),
            PACED: lambda seconds: paced(server, 20e6, seconds),
            DAY: lambda seconds: at_rate(server, 100, seconds),
        }
        seen = {name: _seen(log, peer, name, load) for name, load in loads.items()}
        return _told(seen)


class Seen:
    """What one load has told."""

    def __init__(self, watch: Watch, raw: int, ours: int, theirs: int | None) -> None:
        self.watch = watch
        self.raw, self.ours, self.theirs = raw, ours, theirs
        self.lags = watch.lags()


def _seen(
    log: Streamed, peer: PgBackRest | None, name: str, load: Callable[[float], None]
) -> Seen:
    log.server.sql("checkpoint")
    start = log.end()
    log.kept(start)
    with Watch(log) as watch:
        load(SECONDS[name])
    end = log.position()
    end -= end % SEGMENT
    start += -start % SEGMENT
    theirs = None if peer is None else _archived(log.server, peer, start, end)
    return Seen(watch, end - start, log.stored(start, end), theirs)


def _archived(server: Server, peer: PgBackRest, start: int, end: int) -> int:
    """Bytes that the peer's archive grows by."""
    before = peer.stored()
    with a_directory() as beside:
        for at in range(start, end, SEGMENT):
            name = segment_name(Timeline(1), Lsn(at), SEGMENT)
            copied = beside / name
            shutil.copyfile(server.data_directory / "pg_wal" / name, copied)
            own(copied)
            peer.push(copied)
    return peer.stored() - before


def _told(seen: dict[str, Seen]) -> Told:
    rows, stored = [], []
    for name, each in seen.items():
        median, most, worst = of_lags(each.lags)
        lags = [f"{found:.2f}" for found in (median, most, worst)]
        rows.append([name, f"{each.watch.rate:.1f}", *lags, f"{100 * each.watch.cpu:.0f}"])
        theirs = ["-", "-"]
        if each.theirs:
            theirs = [f"{each.theirs / 1e6:.2f}", f"{each.ours / each.theirs:.2f}"]
        stored.append([name, f"{each.raw / 1e6:.0f}", f"{each.ours / 1e6:.2f}", *theirs])
    head = ["load", "MB/s of log", "lag s, median", "p99", "most", "agent's CPU, % of a core"]
    sizes = ["load", "log MB", "stored MB", "pgbackrest MB", "ratio"]
    full, day = seen[FULL], seen[DAY]
    return Told(
        title="The log of a server, streamed",
        text=[f"PostgreSQL 15. {versions()}", "", *table(head, rows), "", *table(sizes, stored)],
        ratios=[
            Ratio("lag of the log at full speed, p99", of_lags(full.lags)[1], 2, "s"),
            Ratio(
                "agent's CPU at 20 MB/s of log", 100 * seen[PACED].watch.cpu, 15, " % of a core"
            ),
            *against("stored log vs pgbackrest's, 100 transactions a second", 0.9, *_sizes(day)),
            *against("stored log vs pgbackrest's, at full speed", 0.9, *_sizes(full)),
        ],
        bars=[
            (f"{who}, {name}", size / 1e6)
            for name, each in seen.items()
            for who, size in (("strongroom", each.ours), ("pgbackrest", each.theirs or 0))
            if size
        ],
        unit="MB stored",
    )


def _sizes(seen: Seen) -> tuple[float, float | None]:
    return float(seen.ours), None if seen.theirs is None else float(seen.theirs)
