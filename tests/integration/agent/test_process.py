"""The agent as a process: asked to stop, killed, and begun again."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent_story import Server, Story, a_server, an_open_directory
from agent_world import ONE_TIME_TOKEN, AgentWorld, an_agent_world
from stalling_proxy import StallingProxy, a_stalling_proxy
from store_world import StoreWorld, a_store_world
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Settings
from strongroom.model.work.operation import StorageAccess

pytestmark = pytest.mark.postgres

AGENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from seams import SystemChance, SystemClock
from strongroom.agent.commands import run_agent
from strongroom.agent.settings import Settings
data = Path(sys.argv[2])
settings = Settings(
    data=data, control_url=sys.argv[3], enrol_token_file=data / "token", heartbeat_seconds=0.2
)
run_agent(settings, SystemClock(), SystemChance())
"""


class Outside(Story):
    """The story's keys and orders, with the agent in a process of its own."""

    def __init__(self, world: AgentWorld, store: StoreWorld, data: Path) -> None:
        self.prepare(world, store)
        self.agent_data = data
        data.mkdir(0o700)
        (data / "token").write_text(ONE_TIME_TOKEN)
        self.book = ServerBook(Settings(data=data).servers_file)
        self.processes: list[subprocess.Popen] = []

    def run_agent(self) -> subprocess.Popen:
        tests = str(Path(__file__).parents[2])
        command = [sys.executable, "-c", AGENT, tests, str(self.agent_data), self.world.url]
        with (self.agent_data / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        ready = self.agent_data / "ready.json"
        until = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None, (self.agent_data / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        return process

    def through(self, access: StorageAccess, proxy: StallingProxy) -> StorageAccess:
        url = access.container_url.replace(f":{self.store.port}/", f":{proxy.port}/")
        return msgspec.structs.replace(access, container_url=url)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with an_open_directory() as root, a_server(root) as server:
        server.run(
            "create table bulk (noise bytea)",
            "alter table bulk alter noise set storage external",
            "insert into bulk select decode(string_agg(md5(random()::text), ''), 'hex') "
            "from generate_series(1, 3000000) n group by n % 300",
            "checkpoint",
        )
        yield server


@pytest.fixture
def outside(server) -> Iterator[Outside]:
    with an_open_directory() as root, an_agent_world() as world, a_store_world() as store:
        outside = Outside(world, store, root / "agent")
        outside.book.add("orders", server.conninfo)
        try:
            yield outside
        finally:
            for process in outside.processes:
                if process.poll() is None:
                    process.kill()
                process.wait(10)


def test_a_signal_ends_an_idle_agent_at_once_and_what_a_killed_one_was_loading_is_gone(outside):
    left = outside.agent_data / "spool" / "load-killed"
    left.mkdir(parents=True)
    (left / "dump").write_bytes(b"PGDMP")
    process = outside.run_agent()
    assert not left.exists(), "a whole database, in the clear"
    process.terminate()
    assert process.wait(30) == 0
    assert not (outside.agent_data / "ready.json").exists()
    assert not (outside.agent_data / "token").exists()


def test_a_signal_ends_a_working_agent_within_ten_seconds_even_when_storage_is_dead(outside):
    process = outside.run_agent()
    with a_stalling_proxy(outside.store.port, 20 << 20) as proxy:
        order, access = outside.backup_order()
        access = outside.through(access, proxy)
        operation = outside.world.offer(order, access=access, lease_seconds=30)
        assert proxy.stalled.wait(20)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 10
    assert operation.failure.error["kind"] == "Cancelled"
    assert operation.failure.retryable


def test_a_cancelled_backup_is_reported_even_when_storage_is_dead(outside):
    outside.run_agent()
    with a_stalling_proxy(outside.store.port, 20 << 20) as proxy:
        order, access = outside.backup_order()
        access = outside.through(access, proxy)
        operation = outside.world.offer(order, access=access, lease_seconds=30)
        assert proxy.stalled.wait(20)
        operation.cancel = True
        outside.world.await_status(operation, "failed", seconds=10)
    assert operation.failure.error["kind"] == "Cancelled"


def test_a_killed_agents_backup_is_done_by_the_next_one(outside, server):
    process = outside.run_agent()
    with a_stalling_proxy(outside.store.port, 20 << 20) as proxy:
        order, access = outside.backup_order()
        operation = outside.world.offer(
            order, access=outside.through(access, proxy), lease_seconds=3
        )
        assert proxy.stalled.wait(20)
        process.kill()
        process.wait(10)
    operation.access = access
    (outside.agent_data / "ready.json").unlink()
    outside.run_agent()
    outside.world.await_status(operation, "completed", seconds=30)
    outside.commit(operation)
    with server.connect() as connection:
        slots = connection.execute("select slot_name from pg_replication_slots").fetchall()
    assert slots == []


def test_a_killed_agents_restore_starts_over_and_ends_whole(outside):
    process = outside.run_agent()
    outside.commit(outside.back_up())
    target = outside.agent_data.parent / "target"
    with a_stalling_proxy(outside.store.port, 20 << 20) as proxy:
        operation = outside.world.offer(
            outside.restore_order(target),
            access=outside.through(outside.reading(), proxy),
            lease_seconds=3,
        )
        assert proxy.stalled.wait(20)
        process.kill()
        process.wait(10)
    assert any(target.iterdir())
    operation.access = outside.reading()
    (outside.agent_data / "ready.json").unlink()
    outside.run_agent()
    outside.world.await_status(operation, "completed", seconds=60)
    assert operation.result.restore.written_bytes > 50_000_000
    assert not (target / "strongroom-restore.json").exists()
    assert len(operation.keys_asked) == 2


def test_the_log_holds_no_token_no_key_and_no_password(outside):
    process = outside.run_agent()
    outside.commit(outside.back_up())
    process.terminate()
    process.wait(30)
    log = (outside.agent_data / "log").read_text()
    assert "operation completed" in log
    for secret in ("agent-token", ONE_TIME_TOKEN, "sig=", outside.data.to_bytes().hex()[:16]):
        assert secret not in log
