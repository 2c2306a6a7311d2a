"""One 50 MB table out of a physical point, beside a full restore and pg_dump of it.

    bench/one_table.py [GIGABYTES]      default 2; writes bench/ONE_TABLE.md

Both end with a dump of the same table on disk. The targets: a quarter of the time, a tenth of the
bytes fetched.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from backup import fill, options  # noqa: E402

from agent_story import Story, a_story, an_open_directory, free_port, own  # noqa: E402
from integration.servers import Server, start_server  # noqa: E402
from strongroom.model.operation import RestoreResult  # noqa: E402
from strongroom.postgres import scratch  # noqa: E402

RUNS = 3


def whole(story: Story, source: Server, target: Path) -> RestoreResult:
    """Restore all of it, start it, dump the table, stop it."""
    port = free_port()
    order = story.restore_order(
        target,
        start=True,
        port=port,
        settings={"unix_socket_directories": str(source.home), "listen_addresses": ""},
    )
    operation = story.restore(order, 300)
    assert operation.failure is None, operation.failure
    command = [str(source.tools.program("pg_dump")), "-Fc", "-Z1", "-t", "wanted", "postgres"]
    words = [*options(source)[:2], "-p", str(port), "-U", "postgres"]
    with target.with_suffix(".dump").open("wb") as file:
        subprocess.run([*command, *words], stdout=file, check=True)
    scratch.stop(source.tools, target, "immediate")
    return operation.result.restore


def part(story: Story, target: Path) -> RestoreResult:
    """The same dump, without the rest."""
    order = story.extract_order(
        target.name, database="postgres", table="wanted", target_directory=str(target)
    )
    operation = story.restore(order, 300)
    assert operation.failure is None, operation.failure
    return operation.result.restore


def measure(gigabytes: float) -> list[str]:
    with start_server(15) as source, an_open_directory() as root:
        own(root)
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
            rows = []
            for number in range(RUNS):
                begun = time.monotonic()
                all_of_it = whole(story, source, root / f"whole-{number}")
                middle = time.monotonic()
                one = part(story, root / f"part-{number}")
                rows.append((middle - begun, time.monotonic() - middle))
    return report(size, rows, all_of_it.fetched_bytes, one.fetched_bytes)


def report(
    size: int, rows: list[tuple[float, float]], all_bytes: int, one_bytes: int
) -> list[str]:
    all_seconds, one_seconds = (
        sorted(times)[len(times) // 2] for times in zip(*rows, strict=True)
    )
    return [
        "# One table out of a physical point",
        "",
        f"{os.cpu_count()} cores, PostgreSQL 15, {size / 1e9:.2f} GB of databases; "
        f"medians of {RUNS}.",
        "Written by `bench/one_table.py`; read the ratios, the seconds are one machine's.",
        "",
        "| measure | full restore + pg_dump | one table | ratio |",
        "|---|---|---|---|",
        f"| seconds | {all_seconds:.2f} | {one_seconds:.2f} | {one_seconds / all_seconds:.2f} |",
        f"| MB fetched | {all_bytes / 1e6:.1f} | {one_bytes / 1e6:.1f} "
        f"| {one_bytes / all_bytes:.2f} |",
        "",
    ]


def main() -> None:
    """The table is of the kind of pgbench_accounts, 50 MB with its index."""
    lines = measure(float(sys.argv[1]) if sys.argv[1:] else 2.0)
    (ROOT / "bench" / "ONE_TABLE.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
