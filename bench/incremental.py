"""Increments after pgbench's churn, beside pg_basebackup --incremental in the same run.

    bench/incremental.py [GIGABYTES] [TRANSACTIONS]      default 1 and 40000

PostgreSQL 18 with summarize_wal. After each round of transactions: ours (read, compressed, sealed,
laid over its parent; packs stay in memory) and pg_basebackup --incremental to a directory. Each
backs up the same changes since its own previous one. Prints a table; `make bench` runs it not.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from increments import a_chain  # noqa: E402
from integration.servers import Server, start_server  # noqa: E402

ROUNDS = 3


def place_of(server: Server) -> list[str]:
    return ["-h", str(server.home), "-p", str(server.port), "-U", "postgres"]


def run(server: Server, program: str, *words: str) -> None:
    command = [str(server.tools.directory / program), *place_of(server), *words]
    subprocess.run(command, check=True, capture_output=True)


def theirs(server: Server, into: Path, since: Path | None) -> tuple[float, int]:
    """(seconds, bytes) of pg_basebackup."""
    more = [f"--incremental={since / 'backup_manifest'}"] if since else []
    begun = time.monotonic()
    run(server, "pg_basebackup", "-D", str(into), "-c", "fast", *more)
    seconds = time.monotonic() - begun
    return seconds, sum(path.stat().st_size for path in into.rglob("*") if path.is_file())


def main() -> None:
    gigabytes = float(sys.argv[1]) if sys.argv[1:] else 1.0
    transactions = int(sys.argv[2]) if sys.argv[2:] else 40_000
    home = Path(tempfile.mkdtemp(prefix="peer-", dir="/tmp"))
    rows = [
        "| round | ours s | theirs s | ratio | ours MB | theirs MB | ratio |",
        "|---" * 7 + "|",
    ]
    with (
        start_server(18, summarize_wal="on", max_wal_size="4GB") as server,
        a_chain(server) as chain,
    ):
        run(server, "pgbench", "-i", "-q", "-s", str(max(1, int(gigabytes * 66))), "postgres")
        before: Path | None = None
        for number in range(ROUNDS + 1):
            if number:
                count = str(transactions // 2)
                run(server, "pgbench", "-c", "2", "-t", count, "postgres")
            server.sql("checkpoint")  # neither pays for writing out what pgbench left
            begun = time.monotonic()
            told = chain.back_up()
            seconds = time.monotonic() - begun
            peer = home / str(number)
            peer_seconds, size = theirs(server, peer, before)
            before = peer
            rows.append(
                f"| {number} {told.kind} | {seconds:.2f} | {peer_seconds:.2f} | "
                f"{seconds / peer_seconds:.2f} | {told.stored_bytes / 1e6:.1f} | "
                f"{size / 1e6:.1f} | {told.stored_bytes / size:.3f} |"
            )
    shutil.rmtree(home)
    print(f"{os.cpu_count()} cores, PostgreSQL 18, {gigabytes:g} GB, {transactions} transactions")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
