"""One 50 MB table out of a physical point, beside a full restore and pg_dump of it.

Both end with a dump of the same table on disk. The agent, in threads of this process, is real, and
so are the storage endpoint and PostgreSQL; the control plane is one of a few lines.
"""

import statistics
import subprocess
from pathlib import Path

from bench.results import Ratio, Told, table
from bench.workload import fill, timed

from agent_story import Story, a_story, an_open_directory, own
from integration.servers import Server, start_server
from ports import free_port
from strongroom.model.work.operation import RestoreOrder, RestoreResult
from strongroom.postgres.server import scratch

ROUNDS = 3


def measure(gigabytes: float) -> Told:
    """The table is of the kind of pgbench_accounts, 50 MB with its index."""
    with start_server(15, max_wal_size="8GB") as source, an_open_directory() as root:
        own(root)
        source.configure(
            unix_socket_directories=source.home
        )  # for the restored ones, which keep it
        source.sql(
            "create table wanted as select n, n % 10 as branch, 0 as balance, "
            "repeat(' ', 84)::char(84) as filler from generate_series(1, 380000) n",
            "create index on wanted (n)",
        )
        size = fill(source, gigabytes)
        with a_story(root / "agent") as story:
            story.book.add("orders", source.conninfo)
            story.start()
            story.world.await_that(lambda: "orders" in story.world.servers)
            operation = story.back_up(seconds=300)
            assert operation.failure is None, operation.failure
            story.commit(operation)
            return _told(size, *_rounds(story, source, root))


def _rounds(story: Story, source: Server, root: Path) -> tuple[list[float], list[float], float]:
    """(seconds of all of it, seconds of the part, bytes fetched of the part / of all)."""
    all_of_it, one = [], []
    fetched: list[int] = [0, 0]

    def whole(number: int) -> None:
        fetched[0] = _whole(story, source, root / f"whole-{number}").fetched_bytes

    def part(number: int) -> None:
        fetched[1] = _part(story, root / f"part-{number}").fetched_bytes

    for number in range(ROUNDS):
        all_of_it.append(timed(lambda each=number: whole(each)))
        one.append(timed(lambda each=number: part(each)))
    return all_of_it, one, fetched[1] / fetched[0]


def _whole(story: Story, source: Server, target: Path) -> RestoreResult:
    """Restore all of it, start it, dump the table, stop it."""
    port = free_port()
    order: RestoreOrder = story.restore_order(
        target,
        start=True,
        port=port,
    )
    result = _restored(story, order)
    command = [str(source.tools.program("pg_dump")), "-Fc", "-Z1", "-t", "wanted", "postgres"]
    words = ["-h", str(source.home), "-p", str(port), "-U", "postgres"]
    with target.with_suffix(".dump").open("wb") as file:
        subprocess.run([*command, *words], stdout=file, check=True)
    scratch.stop(source.tools, target, "immediate")
    return result


def _part(story: Story, target: Path) -> RestoreResult:
    """The same dump, without the rest."""
    order = story.extract_order(
        target.name, database="postgres", table="wanted", target_directory=str(target)
    )
    return _restored(story, order)


def _restored(story: Story, order: object) -> RestoreResult:
    operation = story.restore(order, 300)
    assert operation.failure is None, operation.failure
    result: RestoreResult = operation.result.restore
    return result


def _told(size: int, all_of_it: list[float], one: list[float], fetched: float) -> Told:
    whole, part = statistics.median(all_of_it), statistics.median(one)
    rows = [
        ["full restore and pg_dump", f"{whole:.2f}", "1"],
        ["one table", f"{part:.2f}", f"{fetched:.3f}"],
    ]
    return Told(
        title="One 50 MB table out of a physical point",
        text=[
            f"PostgreSQL 15, {size / 1e9:.2f} GB of databases; medians of {ROUNDS}.",
            "",
            *table(["what", "seconds", "share of the bytes fetched"], rows),
        ],
        ratios=[
            Ratio("one table vs full restore and pg_dump, time", part / whole, 0.25),
            Ratio("one table vs the same, bytes fetched", fetched, 0.1),
        ],
        bars=[("strongroom, one table", part), ("full restore and pg_dump", whole)],
    )
