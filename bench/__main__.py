"""Measure, and write bench/RESULTS.md.

make bench                        all of them, about a quarter of an hour
make bench ONLY=restore GB=0.3    one of them, smaller
"""

import signal
import sys
from collections.abc import Callable

from bench import (
    api,
    chain,
    full,
    incremental,
    logical,
    memory,
    one_table,
    portal,
    profile,
    restore,
    stored,
    wal,
    wal_replay,
)
from bench.results import HERE, Told, into_readme, keep

BENCHES: dict[str, tuple[Callable[[float], Told], float]] = {
    "full": (full.measure, 2.0),
    "full_large": (full.measure, full.LARGE),
    "incremental": (incremental.measure, 2.0),
    "restore": (restore.measure, 2.0),
    "chain": (chain.measure, 1.0),
    "stored": (stored.measure, 0.3),
    "logical": (logical.measure, 1.0),
    "one_table": (one_table.measure, 2.0),
    "memory": (memory.measure, 0.5),
    "profile": (profile.measure, 2.0),
    "wal": (wal.measure, 1.0),
    "wal_replay": (wal_replay.measure, 2.0),
    "api": (api.measure, 1.0),
    "api_postgresql": (api.measure_shared, 1.0),
    "protect": (api.measure_protect, 1.0),
    "protect_postgresql": (api.measure_protect_shared, 1.0),
    "portal": (portal.measure, 1.0),
}


def main(words: list[str]) -> None:
    """`words`: names of benches, and how many gigabytes instead of each one's own."""
    names = [word for word in words if word in BENCHES] or list(BENCHES)
    sizes = [word for word in words if word not in BENCHES]
    for name in names:
        measure, gigabytes = BENCHES[name]
        told = measure(float(sizes[0]) if sizes else gigabytes)
        keep(name, told, list(BENCHES))
        print("\n".join([f"## {told.title}", *told.text, ""]), flush=True)
    if not sizes:
        into_readme(HERE.resolve().parent / "README.md")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # servers are ended on the way
    main(sys.argv[1:])
