"""How much memory an agent takes to back up and restore a server of a given size.

    python bench/agent_memory.py 2        gigabytes; prints seconds, rates and the peak RSS

Everything is real but the control plane. The agent is a process of its own.
"""

import logging
import subprocess
import sys
import time
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from agent_story import Server, Story, a_server, an_open_directory
from agent_world import ONE_TIME_TOKEN, AgentWorld, an_agent_world
from store_world import StoreWorld, a_store_world
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Settings

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


def main(gigabytes: float) -> None:
    """Fill, back up, restore, tell."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with an_open_directory() as root, a_server(root, settings="max_wal_size='4GB'") as server:
        fill(server, gigabytes)
        with an_agent_world() as world, a_store_world() as store:
            bench = Bench(world, store, root / "agent")
            bench.book.add("orders", server.conninfo)
            tests = str(Path(__file__).parent.parent / "tests")
            command = [sys.executable, "-c", AGENT, tests, str(root / "agent"), world.url]
            agent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                measure(bench, agent.pid, root)
            finally:
                agent.terminate()
                agent.wait(15)


def measure(bench: Bench, pid: int, root: Path) -> None:
    """Back up and restore once each."""
    began = time.monotonic()
    backup = bench.back_up(seconds=3600)
    assert backup.failure is None, backup.failure
    seconds = time.monotonic() - began
    result = backup.result.backup
    print(
        f"backup  {result.raw_bytes / 1e9:.2f} GB raw, {result.stored_bytes / 1e9:.2f} GB stored, "
        f"{result.packs} packs, {seconds:.1f} s, {result.raw_bytes / 1e6 / seconds:.0f} MB/s, "
        f"peak RSS {peak(pid)} MiB"
    )
    bench.commit(backup)
    began = time.monotonic()
    restore = bench.restore(bench.restore_order(root / "target"), seconds=3600)
    assert restore.failure is None, restore.failure
    seconds = time.monotonic() - began
    print(
        f"restore {seconds:.1f} s, {result.raw_bytes / 1e6 / seconds:.0f} MB/s, "
        f"peak RSS {peak(pid)} MiB"
    )


if __name__ == "__main__":
    main(float(sys.argv[1]))
