"""Full backup of a real server, beside its peers in the same run; writes bench/RESULTS.md.

    bench/backup.py [GIGABYTES]      default 2

streamed      strongroom: BASE_BACKUP, zstd 1, sealed, sent to the storage endpoint, committed
from disk     the same, but the agent reads the data directory itself and checks every page
pgbackrest    Debian's, zst level 3, aes-256-cbc, process-max 2, into a local repository
pg_basebackup tar to /dev/null: the share of the raw reading

Each is run RUNS times in turn; medians and ratios are what counts, seconds are this machine's.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from journey.cloud import Cloud, ended_job, protect, protect_also  # noqa: E402
from journey.world import House, Postgres  # noqa: E402
from strongroom.postgres import scratch  # noqa: E402

RUNS = 3
ROWS = ("streamed", "from disk", "pgbackrest", "pg_basebackup")


def fill(postgres: Postgres, gigabytes: float) -> int:
    """pgbench tables for three quarters, JSON documents for the rest; returns the bytes."""
    scale = max(1, int(gigabytes * 0.75 * 66))
    command = [str(postgres.tools.program("pgbench")), "-i", "-q", "-s", str(scale)]
    subprocess.run([*command, *options(postgres), "postgres"], check=True, capture_output=True)
    rows = int(gigabytes * 0.25 * 5_000_000)
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(
            "create table documents as select g as id, jsonb_build_object('user', g % 5000, "
            "'page', md5(g::text), 'ms', g % 731, 'tags', array[md5((g * 3)::text)]) as body "
            f"from generate_series(1, {rows}) g"
        )
        connection.execute("checkpoint")
        row = connection.execute("select sum(pg_database_size(oid)) from pg_database").fetchone()
    return int(row[0]) if row else 0


def options(postgres: Postgres) -> list[str]:
    return ["-h", str(postgres.home), "-p", str(postgres.port), "-U", "postgres"]


def timed(act: Callable[[], None]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


class Memory:
    """Peak memory of a process, as the kernel counts it (VmHWM, MiB)."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")

    def peak(self) -> float:
        for line in self._status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0


def raw_read(postgres: Postgres) -> None:
    program = postgres.tools.program("pg_basebackup")
    command = [str(program), *options(postgres), "-D", "-", "-Ft", "-X", "none", "-c", "fast"]
    with Path("/dev/null").open("wb") as null:
        subprocess.run(command, stdout=null, stderr=subprocess.DEVNULL, check=True)


class PgBackRest:
    """The peer, when the host has it."""

    def __init__(self, postgres: Postgres) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="peer-", dir="/tmp"))
        user = scratch.server_user()
        self.user = user
        for name in ("repo", "log", "lock", "spool"):
            (self.home / name).mkdir()
        self.config = self.home / "pgbackrest.conf"
        self.config.write_text(
            f"[global]\nrepo1-path={self.home}/repo\nlog-path={self.home}/log\n"
            f"lock-path={self.home}/lock\nspool-path={self.home}/spool\n"
            "compress-type=zst\ncompress-level=3\nprocess-max=2\nstart-fast=y\n"
            "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=bench-only-0123456789\n"
            "archive-check=n\narchive-copy=n\nrepo1-retention-full=1\nlog-level-console=warn\n"
            f"[demo]\npg1-path={postgres.data}\npg1-port={postgres.port}\n"
            f"pg1-socket-path={postgres.home}\npg1-user=postgres\n"
        )
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, user.uid, user.gid)
        self.run("stanza-create", "--no-online")

    def run(self, *words: str) -> None:
        command = ["pgbackrest", f"--config={self.config}", "--stanza=demo", *words]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            user=self.user.uid,
            group=self.user.gid,
            extra_groups=[],
        )
        if done.returncode:
            raise SystemExit(f"pgbackrest {words[0]}: {done.stdout[-600:]}{done.stderr[-600:]}")

    def backup(self) -> None:
        self.run("backup", "--type=full")

    def stored(self) -> int:
        return sum(p.stat().st_size for p in self.home.rglob("*") if p.is_file()) // RUNS

    def close(self) -> None:
        shutil.rmtree(self.home)


def measure(gigabytes: float) -> list[str]:
    postgres, house = Postgres(), House()
    peer: PgBackRest | None = None
    try:
        size = fill(postgres, gigabytes)
        house.start_all()
        cloud = Cloud(house)
        protect(cloud, house, "disk", postgres.conninfo)
        protect_also(cloud, house, "stream", postgres.conninfo, "stream")
        if shutil.which("pgbackrest") and os.geteuid() == 0:
            peer = PgBackRest(postgres)

        def ours(source: str) -> None:
            job = ended_job(cloud, cloud.back_up_all(f"{source}-inst"), 600)
            assert job.properties.status == "Completed", job.properties.error_details

        times: dict[str, list[float]] = {name: [] for name in ROWS}
        for _ in range(RUNS):
            times["streamed"].append(timed(lambda: ours("stream")))
            times["from disk"].append(timed(lambda: ours("disk")))
            if peer is not None:
                times["pgbackrest"].append(timed(peer.backup))
            times["pg_basebackup"].append(timed(lambda: raw_read(postgres)))
        memory = {n: Memory(pid).peak() for n, pid in house.proc.pids().items()}
        return report(gigabytes, size, times, memory)
    finally:
        if peer is not None:
            peer.close()
        house.close()
        postgres.close()


def report(
    gigabytes: float, size: int, times: dict[str, list[float]], memory: dict[str, float]
) -> list[str]:
    median = {name: statistics.median(found) for name, found in times.items() if found}
    lines = [f"## {gigabytes:g} GB asked for, {size / 1e9:.2f} GB of databases", ""]
    lines += ["| what | median s | of | streamed / it | from disk / it |", "|---|---|---|---|---|"]
    for name, seconds in median.items():
        runs = " ".join(f"{t:.1f}" for t in times[name])
        ratios = [f"{median[ours] / seconds:.2f}" for ours in ROWS[:2]]
        lines.append(f"| {name} | {seconds:.2f} | {runs} | {' | '.join(ratios)} |")
    peaks = ", ".join(f"{name} {found:.0f} MiB" for name, found in memory.items())
    return [*lines, "", f"Peak memory: {peaks}.", ""]


def main() -> None:
    sizes = [float(text) for text in sys.argv[1:]] or [2.0]
    peer = shutil.which("pgbackrest")
    version = (
        subprocess.run([peer, "version"], capture_output=True, text=True, check=True)
        if peer
        else None
    )
    lines = [
        "# Measured",
        "",
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, PostgreSQL 15, "
        f"{version.stdout.strip() if version else 'no pgBackRest on this host'}.",
        "Written by `make bench`; read the ratios, the seconds are one machine's.",
        "",
    ]
    for size in sizes:
        lines += measure(size)
    (ROOT / "bench" / "RESULTS.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
