"""What lies in storage after one full backup and thirty daily increments, beside the peers.

Each day 1 % of the pages of two tables change, scattered; on one day one of them is rewritten
(VACUUM FULL), on another its index (REINDEX). pgbackrest: one full, thirty incr; it keeps no WAL
here, ours keeps what each point needs. restic: a dump a day (pg_dump -Fc -Z0) into one repository.
"""

from bench.ours import Ours, a_house
from bench.peers import PgBackRest, Restic, a_pgbackrest, a_restic, versions
from bench.results import Told, against, table
from bench.workload import day, fill

from integration.servers import Server, start_server

DAYS = 30
SHOWN = (0, 1, 9, 10, 19, 20, 30)


def measure(gigabytes: float) -> Told:
    """Every day each of them backs up the same server."""
    with (
        start_server(15, max_wal_size="8GB") as server,
        a_house() as ours,
        a_pgbackrest(server) as pgbackrest,
        a_restic() as restic,
    ):
        size = fill(server, gigabytes, fillfactor=90)
        ours.protect("orders", server.conninfo)
        empty = ours.stored()
        days: list[dict[str, float]] = []
        what = ["full"]
        for number in range(DAYS + 1):
            if number:
                what.append(day(server, number))
            _back_up(server, ours, pgbackrest, restic, full=not number)
            days.append(
                {
                    "strongroom": (ours.stored() - empty) / 1e6,
                    **({"pgbackrest": pgbackrest.stored() / 1e6} if pgbackrest else {}),
                    **({"restic over dumps": restic.stored() / 1e6} if restic else {}),
                }
            )
        return _told(size, what, days, ours)


def _back_up(
    server: Server,
    ours: Ours,
    pgbackrest: PgBackRest | None,
    restic: Restic | None,
    *,
    full: bool,
) -> None:
    ours.back_up("orders")
    if pgbackrest is not None:
        pgbackrest.back_up("full" if full else "incr")
    if restic is not None:
        restic.back_up(server)


def _told(size: int, what: list[str], days: list[dict[str, float]], ours: Ours) -> Told:
    names = list(days[-1])
    rows = [
        [str(number), what[number], *(f"{days[number][name]:.1f}" for name in names)]
        for number in SHOWN
    ]
    last = days[-1]
    smaller = min((last[name] for name in names[1:]), default=None)
    kinds = ", ".join(ours.kinds("orders"))
    return Told(
        title="Stored after a full backup and thirty days",
        text=[
            f"PostgreSQL 15, {size / 1e9:.2f} GB of databases; ours: {kinds}. {versions()}",
            "",
            *table(["day", "what", *(f"{name}, MB" for name in names)], rows),
        ],
        ratios=against(
            "stored after 31 days vs the smaller peer", 0.8, last["strongroom"], smaller
        ),
        bars=list(last.items()),
        unit="MB stored",
        peak_mib=ours.peak_mib,
    )
