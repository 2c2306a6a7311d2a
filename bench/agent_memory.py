"""How much memory an agent takes to back up and restore a server of a given size.

    python bench/agent_memory.py 2        gigabytes; prints seconds, rates and the peak RSS

Everything is real but the control plane. The agent is a process of its own, begun anew for each
line: a backup, a restore, two of each side by side, and one of each.
"""

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from agent_story import Server, Story, a_server, an_open_directory
from agent_world import ONE_TIME_TOKEN, AgentWorld, Operation, an_agent_world
from store_world import StoreWorld, a_store_world
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Settings

NUMBERS = count(1)
AGENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from seams import SystemChance, SystemClock
from strongroom.agent.commands import run_agent
from strongroom.agent.settings import Settings
data = Path(sys.argv[2])
settings = Settings(data=data, control_url=sys.argv[3], enrol_token_file=data / "token")
run_agent(settings, SystemClock(), SystemChance())
"""


def fill(server: Server, gigabytes: float) -> None:
    """Half of it compresses well, half of it hardly at all."""
    rows = round(gigabytes * 4000)
    server.run(
        "create table text_like (id bigint, a text, b text)",
        "create table noise (id bigint, bytes bytea)",
        "alter table noise alter bytes set storage external",
    )
    for start in range(0, rows, 2000):
        count = min(2000, rows - start)
        server.run(
            f"insert into text_like select n, md5((n % 1000)::text), repeat('order line ', 10) "
            f"from generate_series(1, {count * 700}) n",
            f"insert into noise select n, (select decode(string_agg(md5((n * 7919 + k)::text), "
            f"''), 'hex') from generate_series(1, 7800) k) from generate_series(1, {count}) n",
        )
    server.run("checkpoint")


def peak(pid: int) -> int:
    """Peak RSS in MiB. Source: proc(5), VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    raise SystemExit("the kernel tells no peak")


class Bench(Story):
    """The story's keys and orders, with the agent elsewhere."""

    def __init__(self, world: AgentWorld, store: StoreWorld, data: Path) -> None:
        self.prepare(world, store)
        data.mkdir(0o700)
        (data / "token").write_text(ONE_TIME_TOKEN)
        self.book = ServerBook(Settings(data=data).servers_file)

    def begin_backup(self, number: int) -> Operation:
        """Offer it."""
        order, access = self.backup_order(number)
        return self.world.offer(order, access=access, lease_seconds=30)

    def begin_restore(self, target: Path) -> Operation:
        """Offer it: the first recovery point, into a new directory."""
        return self.world.offer(
            self.restore_order(target), access=self.reading(), lease_seconds=30
        )


def main(gigabytes: float) -> None:
    """Fill, back up, restore, tell."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with an_open_directory() as root, a_server(root, settings="max_wal_size='4GB'") as server:
        fill(server, gigabytes)
        with an_agent_world() as world, a_store_world() as store:
            bench = Bench(world, store, root / "agent")
            bench.book.add("orders", server.conninfo)
            first = measure(bench, root, "backup", backups=1)
            bench.commit(first[0])
            measure(bench, root, "restore", restores=1)
            measure(bench, root, "two backups", backups=2)
            measure(bench, root, "two restores", restores=2)
            measure(bench, root, "backup and restore", backups=1, restores=1)


@contextmanager
def an_agent(bench: Bench, root: Path) -> Iterator[int]:
    """A fresh process, so that each peak is that of one line alone; its pid."""
    tests = str(Path(__file__).parent.parent / "tests")
    command = [sys.executable, "-c", AGENT, tests, str(root / "agent"), bench.world.url]
    agent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield agent.pid
    finally:
        agent.terminate()
        agent.wait(15)


def measure(
    bench: Bench, root: Path, title: str, *, backups: int = 0, restores: int = 0
) -> list[Operation]:
    """So many of each at once; returns the operations, all of them completed."""
    targets = [root / f"target-{next(NUMBERS)}" for _ in range(restores)]
    with an_agent(bench, root) as pid:
        began = time.monotonic()
        offered = [bench.begin_backup(next(NUMBERS)) for _ in range(backups)]
        offered += [bench.begin_restore(target) for target in targets]
        for operation in offered:
            bench.world.await_that(lambda one=operation: one.result or one.failure, 3600)
            assert operation.failure is None, operation.failure
        seconds = time.monotonic() - began
        told = [one.result.backup or one.result.restore for one in offered]
        raw = sum(getattr(one, "raw_bytes", 0) or one.written_bytes for one in told)
        print(
            f"{title:<19} {raw / 1e9:5.2f} GB raw, {seconds:5.1f} s, "
            f"{raw / 1e6 / seconds:4.0f} MB/s, peak RSS {peak(pid)} MiB",
            flush=True,
        )
    for target in targets:
        shutil.rmtree(target)
    return offered


if __name__ == "__main__":
    main(float(sys.argv[1]))
