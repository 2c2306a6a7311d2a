"""The loop against a control plane that misbehaves. The work itself is made up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent_world import AGENT_TOKEN, AgentWorld, Fault, an_agent_world
from seams import SystemChance, SystemClock
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.loop import Agent, Trades
from strongroom.agent.process import control_of
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Identity, Settings
from strongroom.model.errors import (
    Cancelled,
    SourceRefused,
    SourceStopped,
    SourceUnreachable,
    Unauthenticated,
    VaultError,
)
from strongroom.model.work.operation import (
    CheckOrder,
    Completion,
    Progress,
    RestoreOrder,
    ServerFacts,
    StorageAccess,
)
from strongroom.postgres.server.connect import Conninfo

SECRET = "hunter2secret"


class Bench:
    """An agent in threads, beside its world; `work` is what every order runs."""

    def __init__(self, world: AgentWorld, settings: Settings, logs: list[Any]) -> None:
        self.world = world
        self.logs = logs
        self.settings = settings
        self.book = ServerBook(settings.servers_file)
        self.work: Callable[[HeldLease], Completion] = done
        self.let_go = threading.Event()
        self.look: Callable[..., ServerFacts] = lambda conninfo, name: ready(name)
        clock, chance = SystemClock(), SystemChance()
        identity = Identity(agent_id="agent-1", agent_token=AGENT_TOKEN, control_url=world.url)
        self.client = control_of(identity, chance)
        trades = Trades(
            look=self._look,
            take_backup=self._work,
            verify=self._work,
            restore=self._work,
            look_at=self._work,
            stream=self._work,
            let_go=self.let_go.set,
        )
        self.agent = Agent(settings, self.client, self.book, trades, clock, chance)
        self.raised: list[VaultError] = []
        self.thread = threading.Thread(target=self._run)

    def logged(self, event: str) -> list[Any]:
        return [line for line in self.logs if line["event"] == event]

    def _work(self, held: HeldLease) -> Completion:
        return self.work(held)

    def _look(self, conninfo: Conninfo, name: str) -> ServerFacts:
        return self.look(conninfo, name)

    def _run(self) -> None:
        try:
            self.agent.work()
        except VaultError as error:
            self.raised.append(error)


def ready(name: str) -> ServerFacts:
    return ServerFacts(name=name, ready=True, system_identifier="7")


def done(held: HeldLease) -> Completion:
    return Completion(epoch=held.lease.epoch, check=ready("orders"))


@pytest.fixture
def world() -> Iterator[AgentWorld]:
    with an_agent_world() as world:
        yield world


@pytest.fixture
def bench(world, tmp_path) -> Iterator[Bench]:
    with a_bench(world, tmp_path) as bench:
        yield bench


@contextmanager
def a_bench(world, tmp_path, **more) -> Iterator[Bench]:
    usual = {"poll_seconds": 0.3, "heartbeat_seconds": 0.05, "stop_seconds": 2.0}
    settings = Settings(data=tmp_path, **{**usual, **more})
    with capture_logs() as logs:
        bench = Bench(world, settings, logs)
        bench.thread.start()
        try:
            yield bench
        finally:
            bench.agent.stop()
            bench.thread.join(10)
            world.close()
            bench.client.close()
    assert not bench.thread.is_alive()


def until_stopped(held: HeldLease) -> Completion:
    while True:
        held.pause(0.02)


ORDER = RestoreOrder(
    job_id="job-1",
    recovery_point_id="rp-1",
    instance_id="i-1",
    manifest_name="p/rp-1.manifest",
    target_directory="/nowhere",
)


def test_work_that_is_offered_is_done_and_reported(bench, world):
    operation = world.offer(ORDER)
    world.await_status(operation, "completed")
    assert operation.result.check == ready("orders")


def test_the_ready_file_appears_after_the_first_call_for_work(bench, world):
    world.await_that(bench.settings.ready_file.exists)
    assert next(verb for verb, _ in world.calls) == "lease"


def test_two_operations_run_side_by_side_and_a_third_waits(bench, world):
    gate = threading.Event()
    running = []

    def work(held):
        running.append(held.lease.operation_id)
        gate.wait(30)
        return done(held)

    bench.work = work
    operations = [world.offer(ORDER, lease_seconds=30) for _ in range(3)]
    world.await_that(lambda: len(running) == 2)
    time.sleep(0.3)
    assert len(running) == 2
    gate.set()
    for operation in operations:
        world.await_status(operation, "completed")


def test_heartbeats_carry_the_progress(bench, world):
    def work(held):
        held.tell(Progress(step="Reading", done_bytes=5, total_bytes=10))
        world.await_that(lambda: len(operation.heartbeats) > 3)
        return done(held)

    bench.work = work
    operation = world.offer(ORDER)
    world.await_status(operation, "completed")
    assert operation.heartbeats[-1] == Progress(step="Reading", done_bytes=5, total_bytes=10)


def test_every_step_is_told_at_once_and_once(world, tmp_path):
    def work(held):
        for step in ("Connecting", "Reading", "Writing"):
            for done_bytes in (1, 2, 3):
                held.tell(Progress(step=step, done_bytes=done_bytes))
            world.await_that(lambda step=step: operation.heartbeats[-1:] and told()[-1] == step)
        return done(held)

    def told():
        return [progress.step for progress in operation.heartbeats]

    with a_bench(world, tmp_path, heartbeat_seconds=60.0) as bench:
        bench.work = work
        operation = world.offer(ORDER, lease_seconds=90)
        world.await_status(operation, "completed")
    assert told() == ["Connecting", "Reading", "Writing"]


def test_a_heartbeat_renews_the_sas_while_the_work_runs(bench, world):
    def access(sas):
        return StorageAccess(
            container_url="http://127.0.0.1:1/a/c", sas={"packs": sas}, expires_at=""
        )

    seen = []

    def work(held):
        seen.append(held.sas("packs"))
        operation.renewed = access("new")
        world.await_that(lambda: held.sas("packs") == "new")
        return done(held)

    bench.work = work
    operation = world.offer(ORDER, access=access("old"))
    world.await_status(operation, "completed")
    assert seen == ["old"]


def test_a_cancelled_operation_stops_promptly_and_says_so(bench, world):
    bench.work = until_stopped
    operation = world.offer(ORDER)
    world.await_that(lambda: operation.heartbeats)
    operation.cancel = True
    world.await_status(operation, "failed")
    assert operation.failure.error["kind"] == "Cancelled"
    assert not operation.failure.retryable


def test_what_the_work_meets_while_it_is_stopped_is_not_the_reason(bench, world):
    def work(held):
        try:
            until_stopped(held)
        except Cancelled as error:
            raise SourceStopped("the connection was cut") from error

    bench.work = work
    operation = world.offer(ORDER)
    operation.cancel = True
    world.await_status(operation, "failed")
    assert operation.failure.error["kind"] == "Cancelled"


def test_blocked_work_is_woken_when_it_is_cancelled(bench, world):
    def work(held):
        woken = threading.Event()
        with held.when_stopped(woken.set):
            assert woken.wait(30)
        held.check()

    bench.work = work
    operation = world.offer(ORDER)
    operation.cancel = True
    world.await_status(operation, "failed")
    assert operation.failure.error["kind"] == "Cancelled"


def test_a_lost_lease_stops_the_work_and_is_not_reported(bench, world):
    begun, stopped = threading.Event(), threading.Event()

    def work(held):
        begun.set()
        try:
            until_stopped(held)
        finally:
            stopped.set()

    bench.work = work
    operation = world.offer(ORDER)
    assert begun.wait(30)
    world.await_that(lambda: operation.heartbeats)
    bench.work = done
    world.offer_again(operation)
    assert stopped.wait(30)
    world.await_status(operation, "completed")
    assert operation.failure is None
    assert operation.epoch == 3


def test_work_stops_when_no_heartbeat_is_answered_for_longer_than_the_lease(bench, world):
    reasons = []

    def work(held):
        try:
            until_stopped(held)
        finally:
            reasons.append(held.reason)

    bench.work = work
    operation = world.offer(ORDER, lease_seconds=0.5)
    world.await_that(lambda: operation.heartbeats)
    world.fault("heartbeat", *[Fault(status=503)] * 1000)
    world.await_that(lambda: reasons)
    assert reasons[0].code == "LeaseLost"
    assert "fail" not in [verb for verb, _ in world.calls]


def test_a_few_failed_heartbeats_do_no_harm(bench, world):
    def work(held):
        for _ in range(20):
            held.pause(0.05)
        return done(held)

    bench.work = work
    world.fault("heartbeat", Fault(status=503), Fault(lost=True), Fault(status=429))
    operation = world.offer(ORDER, lease_seconds=10)
    world.await_status(operation, "completed")


def test_a_typed_failure_is_reported_with_its_hint(bench, world):
    def work(held):
        raise SourceRefused("no privilege", hint="GRANT it.")

    bench.work = work
    operation = world.offer(ORDER)
    world.await_status(operation, "failed")
    assert operation.failure.error["hint"] == "GRANT it."
    assert not operation.failure.retryable


def test_a_failure_that_may_pass_is_reported_as_retryable(bench, world):
    def work(held):
        raise SourceStopped("the server went away")

    bench.work = work
    operation = world.offer(ORDER)
    world.await_status(operation, "failed")
    assert operation.failure.retryable


def test_a_bug_is_reported_without_what_it_had_in_hand_and_never_retried(bench, world):
    def work(held):
        raise ValueError(f"password={SECRET}")

    bench.work = work
    operation = world.offer(ORDER)
    world.await_status(operation, "failed")
    assert operation.failure.error["code"] == "Bug"
    assert operation.failure.error["kind"] == "ValueError"
    assert not operation.failure.retryable
    assert SECRET not in str(operation.failure.error)


def test_the_agent_works_on_after_a_bug(bench, world):
    def work(held):
        raise ValueError

    bench.work = work
    first = world.offer(ORDER)
    world.await_status(first, "failed")
    bench.work = done
    second = world.offer(ORDER)
    world.await_status(second, "completed")


def test_an_order_of_an_unknown_kind_fails_by_name(bench, world):
    operation = world.offer(ORDER)
    operation.order = {}
    world.await_status(operation, "failed")
    assert operation.failure.error["kind"] == "Invalid"


@pytest.mark.parametrize(
    "fault", [Fault(status=503), Fault(lost=True), Fault(status=502, body=b"<")]
)
def test_a_report_is_repeated_until_it_is_taken(bench, world, fault):
    world.fault("complete", fault, fault, fault)
    operation = world.offer(ORDER, lease_seconds=30)
    world.await_status(operation, "completed")
    world.await_that(lambda: [verb for verb, _ in world.calls].count("complete") == 4)


def test_leasing_goes_on_after_an_outage_of_the_control_plane(bench, world):
    world.await_that(bench.settings.ready_file.exists)
    world.fault("lease", Fault(status=503), Fault(status=500), Fault(lost=True))
    operation = world.offer(ORDER)
    world.await_that(lambda: operation.status in {"completed", "leased"})


def test_work_whose_lease_was_lost_on_the_way_is_begun_at_once_and_once(bench, world):
    world.await_that(bench.settings.ready_file.exists)
    world.fault("lease", Fault(lost=True), Fault(lost=True))
    operation = world.offer(ORDER, lease_seconds=600)
    world.await_status(operation, "completed")
    assert operation.epoch == 1


def test_sigterm_lets_the_work_go_and_offers_it_again(bench, world):
    bench.work = until_stopped
    operation = world.offer(ORDER)
    world.await_that(lambda: operation.heartbeats)
    bench.agent.stop()
    world.await_status(operation, "failed")
    bench.thread.join(3)
    assert not bench.thread.is_alive()
    assert operation.failure.retryable
    assert not bench.settings.ready_file.exists()


def test_work_that_does_not_let_go_does_not_hold_up_the_end(bench, world):
    never = threading.Event()
    bench.work = lambda held: never.wait(30)
    operation = world.offer(ORDER)
    world.await_status(operation, "leased")
    began = time.monotonic()
    bench.agent.stop()
    bench.thread.join(10)
    assert time.monotonic() - began < 5
    never.set()


def test_asked_to_stop_while_work_begins_it_lets_that_go_too(bench, world, monkeypatch):
    start, asked = threading.Thread.start, threading.Event()

    def late(thread):
        if thread.name.startswith("work-"):
            bench.agent.stop()
            asked.set()
            bench.thread.join(0.3)  # it ends too early, or waits for us
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", late)
    bench.work = until_stopped
    operation = world.offer(ORDER)
    assert asked.wait(10)
    world.await_status(operation, "failed")
    assert operation.failure.retryable


def test_a_token_that_is_not_known_ends_the_agent_at_its_start(world, tmp_path):
    world.fault("lease", Fault(status=401))
    with a_bench(world, tmp_path) as bench:
        bench.thread.join(5)
        assert [type(error) for error in bench.raised] == [Unauthenticated]


# -- servers


def test_a_server_is_looked_at_when_a_check_is_ordered(bench, world):
    looks = []
    bench.look = lambda conninfo, name: looks.append(name) or ready(name)
    bench.book.add("orders", "host=/tmp user=postgres")
    world.await_that(lambda: "orders" in world.servers)
    operation = world.offer(CheckOrder(server="orders"))
    world.await_status(operation, "completed")
    assert operation.result.check == ready("orders")
    assert len(looks) == 2


def test_a_check_of_an_unreachable_server_completes_with_the_problem(bench, world):
    def look(conninfo, name):
        raise SourceUnreachable("nobody listens")

    bench.look = look
    bench.book.add("orders", "host=/tmp user=postgres")
    operation = world.offer(CheckOrder(server="orders"))
    world.await_status(operation, "completed")
    assert not operation.result.check.ready


def test_a_check_of_a_server_that_we_do_not_look_after_fails(bench, world):
    operation = world.offer(CheckOrder(server="orders"))
    world.await_status(operation, "failed")
    assert operation.failure.error["kind"] == "NotFound"


def test_facts_of_a_server_added_while_running_are_told_within_moments(bench, world):
    world.await_that(bench.settings.ready_file.exists)
    bench.book.add("orders", "host=/tmp user=postgres")
    world.await_that(lambda: "orders" in world.servers)
    assert world.servers["orders"].ready


def test_an_unreachable_server_is_told_as_not_ready_with_the_problem(bench, world):
    def look(conninfo, name):
        raise SourceUnreachable("nobody listens", hint="Start it.")

    bench.look = look
    bench.book.add("orders", "host=/tmp user=postgres")
    world.await_that(lambda: "orders" in world.servers)
    assert not world.servers["orders"].ready
    assert world.servers["orders"].problems[0]["code"] == "SourceUnreachable"


def test_looking_at_a_slow_server_does_not_delay_the_work(bench, world):
    slow = threading.Event()

    def look(conninfo, name):
        slow.wait(10)
        return ready(name)

    bench.look = look
    bench.book.add("orders", "host=/tmp user=postgres")
    time.sleep(0.7)
    operation = world.offer(ORDER)
    world.await_status(operation, "completed")
    slow.set()


def test_a_removed_server_is_told_no_more(bench, world):
    bench.book.add("orders", "host=/tmp user=postgres")
    world.await_that(lambda: "orders" in world.servers)
    bench.book.remove("orders")
    world.await_that(lambda: not world.lease_requests[-1].servers)


def test_the_logs_name_operation_and_epoch_and_no_token(bench, world):
    operation = world.offer(ORDER)
    world.await_that(lambda: bench.logged("operation completed"))
    line = bench.logged("operation completed")[0]
    assert (line["operation"], line["job"], line["epoch"]) == (operation.id, "job-1", 1)
    assert AGENT_TOKEN not in str(bench.logs)
