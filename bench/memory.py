"""How much memory an agent takes at once: a backup, a restore, and two operations side by side.

Half of the server compresses well, half of it hardly at all.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from bench.ours import Ours, a_house
from bench.peers import a_directory
from bench.results import Told, table

from integration.servers import Server, own, start_server


def measure(gigabytes: float) -> Told:
    """One line for each mixture of operations."""
    with (
        start_server(15, max_wal_size="8GB") as server,
        a_house() as ours,
        a_directory() as root,
    ):
        own(root)
        _fill(server, gigabytes)
        for name in ("one", "another"):
            ours.protect(name, server.conninfo)
            ours.back_up(name)
        rows = [
            [title, f"{_at_once(ours, acts):.0f}"] for title, acts in _mixtures(ours, root).items()
        ]
        return Told(
            title="Memory of the agent",
            text=[
                f"PostgreSQL 15, {gigabytes:g} GB; each line is the peak of a new process.",
                "",
                *table(["at once", "peak MiB"], rows),
            ],
            bars=[(f"strongroom: {title}", float(peak)) for title, peak in rows],
            unit="MiB",
            peak_mib=max(float(peak) for _, peak in rows),
        )


def _at_once(ours: Ours, acts: list[Callable[[], None]]) -> float:
    """Peak MiB of a new process."""
    ours.house.restart("agent")
    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result()
    return ours.peak_mib


def _mixtures(ours: Ours, root: Path) -> dict[str, list[Callable[[], None]]]:
    numbers = count()

    def backup(name: str) -> None:
        ours.back_up(name, full=True)

    def restore(name: str) -> None:
        target = root / str(next(numbers))
        ours.restore(name, ours.points(name)[0], target)
        shutil.rmtree(target)

    one, other = (lambda: backup("one")), (lambda: backup("another"))
    back, other_back = (lambda: restore("one")), (lambda: restore("another"))
    return {
        "backup": [one],
        "restore": [back],
        "two backups": [one, other],
        "two restores": [back, other_back],
        "backup and restore": [one, other_back],
    }


def _fill(server: Server, gigabytes: float) -> None:
    rows = round(gigabytes * 4000)
    server.sql(
        "create table text_like (id bigint, a text, b text)",
        "create table noise (id bigint, bytes bytea)",
        "alter table noise alter bytes set storage external",
        "insert into text_like select n, md5((n % 1000)::text), repeat('order line ', 10) "
        f"from generate_series(1, {rows * 700}) n",
        "insert into noise select n, (select decode(string_agg(md5((n * 7919 + k)::text), "
        f"''), 'hex') from generate_series(1, 7800) k) from generate_series(1, {rows}) n",
        "checkpoint",
    )
