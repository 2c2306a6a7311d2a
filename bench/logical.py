"""The second dump after 3 % of it changed, beside restic on the same dump.

Both are given what `pg_dump -Fc -Z0` tells. Changed are runs of a thousand neighbouring rows, as
where what is recent changes; the third dump follows changes that are scattered row by row, which
leave hardly a chunk as it was.
"""

from bench.ours import a_house
from bench.peers import Restic, a_restic, versions
from bench.results import Told, against, table
from bench.workload import fill, timed

from integration.servers import Server, start_server

_RUN = 1000  # rows


def measure(gigabytes: float) -> Told:
    """A first dump, and one after each kind of change."""
    with (
        start_server(15, max_wal_size="8GB") as server,
        a_house() as ours,
        a_restic() as restic,
    ):
        size = fill(server, gigabytes)
        ours.protect("orders", server.conninfo)

        def mine() -> tuple[float, float]:
            before = ours.stored()
            seconds = ours.back_up("orders", backupType="Logical")
            return seconds, (ours.stored() - before) / 1e6

        rounds = {"first": (mine(), _theirs(restic, server))}
        for title in ("3 % in runs", "3 % in runs, again", "3 % scattered"):
            _change(server, runs="runs" in title)
            rounds[title] = (mine(), _theirs(restic, server))
        return _told(size, rounds, ours.peak_mib)


def _theirs(restic: Restic | None, server: Server) -> tuple[float, float]:
    """(seconds, MB more in its repository); nothing when it is not here."""
    if restic is None:
        return 0.0, 0.0
    before = restic.stored()
    return timed(lambda: restic.back_up(server)), (restic.stored() - before) / 1e6


def _change(server: Server, *, runs: bool) -> None:
    rows = server.sql("select max(aid) from pgbench_accounts")[0][0]
    share = f"(aid / {_RUN}) % 100 in (7, 41, 83)" if runs else "aid % 100 in (7, 41, 83)"
    server.sql(
        f"update pgbench_accounts set abalance = abalance + 1 where aid <= {rows} and {share}",
        "vacuum pgbench_accounts",
        "checkpoint",
    )


def _told(
    size: int,
    rounds: dict[str, tuple[tuple[float, float], tuple[float, float]]],
    peak: float,
) -> Told:
    rows = []
    for title, ((seconds, stored), (their_seconds, their_stored)) in rounds.items():
        peer = [f"{their_seconds:.2f}", f"{their_stored:.1f}"] if their_seconds else ["-", "-"]
        rows.append([title, f"{seconds:.2f}", peer[0], f"{stored:.1f}", peer[1]])
    (seconds, stored), theirs = rounds["3 % in runs"]
    their_seconds, their_stored = (found or None for found in theirs)
    return Told(
        title="A second dump",
        text=[
            f"PostgreSQL 15, {size / 1e9:.2f} GB of databases. {versions()}",
            "",
            *table(["dump", "ours s", "restic s", "ours MB", "restic MB"], rows),
        ],
        ratios=[
            *against("second dump after 3 % changed vs restic, bytes", 1.0, stored, their_stored),
            *against("second dump vs restic, time", 1.0, seconds, their_seconds),
        ],
        bars=[("strongroom", stored), ("restic", their_stored or 0.0)],
        unit="MB stored",
        peak_mib=peak,
    )
