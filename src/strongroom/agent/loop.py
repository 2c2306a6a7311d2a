"""The loop: lease an operation, do it, report it. One of the three doors that catch bugs.

Threads: one polls for work and one watches the servers; each operation has one that works and
one that beats. There is a permit for each slot: who asks for work holds one.
"""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import structlog

from strongroom.agent.backoff import pause_before
from strongroom.agent.control_client import ControlClient, longer_of
from strongroom.agent.enrolment import enrolled
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.private_file import own_directory, write_private
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Identity, Settings
from strongroom.agent.watch import Look, ServerWatch
from strongroom.model.errors import (
    Cancelled,
    Invalid,
    LeaseLost,
    Retry,
    Unauthenticated,
    VaultError,
)
from strongroom.model.operation import Completion, Failure, Lease, LeaseRequest
from strongroom.model.seams import Chance, Clock

TICK_SECONDS = 0.5  # how soon a changed servers.json is seen
REPORT_SECONDS = 3600.0  # a report that nobody takes for so long is given up; the lease ends then

Work = Callable[[HeldLease], Completion]


@dataclass(frozen=True, slots=True)
class Trades:
    """What this agent can do with an order, and how it looks at a server."""

    look: Look
    take_backup: Work
    restore: Work
    check: Work

    def work_of(self, lease: Lease) -> Work:
        """The one for this order; Invalid when it is of a kind that we do not know."""
        if lease.backup is not None:
            return self.take_backup
        if lease.restore is not None:
            return self.restore
        if lease.check is not None:
            return self.check
        raise Invalid(
            "the order is of a kind that this agent does not know",
            hint="Update the agent to the control plane's version.",
        )


class Agent:
    """An enrolled agent at work. `work()` returns after `stop()`."""

    def __init__(
        self,
        settings: Settings,
        client: ControlClient,
        book: ServerBook,
        trades: Trades,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._settings = settings
        self._client = client
        self._watch = ServerWatch(
            book, trades.look, clock, self.spawn, facts_seconds=settings.facts_seconds
        )
        self._trades = trades
        self._clock = clock
        self._chance = chance
        self._log = structlog.get_logger("strongroom.agent")
        self._stopping = threading.Event()
        self._permits = threading.Semaphore(settings.slots)
        self._lock = threading.Lock()
        self._held: dict[HeldLease, threading.Thread] = {}
        self._fatal: BaseException | None = None
        self._leased_before = False

    def stop(self) -> None:
        """Lease no more, and let go of the current work within `stop_seconds`."""
        self._stopping.set()

    def work(self) -> None:
        """Until `stop`. Raises what made it impossible to go on, if anything did."""
        self._start("poll", self._poll)
        self._start("watch", self._look_after_servers)
        self._stopping.wait()
        self._log.info("stopping")
        self._let_go()
        if self._fatal is not None:
            raise self._fatal

    # -- leasing

    def _poll(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            if not self._permits.acquire(timeout=TICK_SECONDS):
                continue
            try:
                self._lease_once(self._settings.poll_seconds if self._leased_before else 0.0)
                attempt = 0
            except Unauthenticated as error:
                if not self._leased_before:
                    raise
                attempt += 1
                self._wait_after(error, attempt)
            except VaultError as error:
                attempt += 1
                self._wait_after(error, attempt)

    def _lease_once(self, wait_seconds: float) -> None:
        """Holds a permit already; it is given back here, or when the operation ends."""
        lease = None
        try:
            request = LeaseRequest(servers=self._watch.facts(), wait_seconds=wait_seconds)
            lease = self._client.lease(request)
            self._be_ready()
        finally:
            if lease is None:
                self._permits.release()
        if lease is not None:
            self._begin(lease)

    def _wait_after(self, error: VaultError, attempt: int) -> None:
        pause = longer_of(pause_before(attempt, self._chance), error)
        self._log.warning("no work", why=error.message, kind=error.code, pause=round(pause, 1))
        self._stopping.wait(pause)

    def _be_ready(self) -> None:
        with self._lock:
            if self._leased_before:
                return
            self._leased_before = True
        facts = {"ready": True, "at": self._clock.now().format_iso()}
        write_private(self._settings.ready_file, msgspec.json.encode(facts))
        self._log.info("ready")

    def _look_after_servers(self) -> None:
        while not self._stopping.is_set():
            self._watch.refresh()
            self._stopping.wait(TICK_SECONDS)
            if (
                self._leased_before
                and self._watch.changed.is_set()
                and self._permits.acquire(blocking=False)
            ):
                try:
                    self._lease_once(0.0)
                except VaultError as error:
                    self._wait_after(error, 1)

    # -- one operation

    def _begin(self, lease: Lease) -> None:
        held = HeldLease(self._client, lease, self._clock, self._settings.heartbeat_seconds)
        thread = self._thread(f"work-{lease.operation_id}", lambda: self._carry_out(held))
        with self._lock:
            self._held[held] = thread
        thread.start()
        if self._stopping.is_set():
            held.stop(_stopping(), offer_again=True)

    def _carry_out(self, held: HeldLease) -> None:
        self._start(f"beat-{held.lease.operation_id}", held.beat)
        log = self._log.bind(**_names(held.lease))
        try:
            log.info("operation begun")
            self._work_and_report(held, log)
        finally:
            held.end()
            with self._lock:
                del self._held[held]
            self._permits.release()

    def _work_and_report(self, held: HeldLease, log: structlog.stdlib.BoundLogger) -> None:
        epoch = held.lease.epoch
        try:
            completion = self._trades.work_of(held.lease)(held)
            self._report(held, lambda: self._client.complete(held.lease.operation_id, completion))
            log.info("operation completed")
            return
        except VaultError as error:
            failure = _failure(held, error)
        except Exception as error:  # the door: a bug fails the operation, once
            log.exception("bug")
            failure = Failure(epoch=epoch, error=_bug(error), retryable=False)
        kind = failure.error["kind"]
        log.warning("operation failed", why=failure.error["message"], kind=kind)
        if kind == LeaseLost.__name__:
            return
        try:
            self._report(held, lambda: self._client.fail(held.lease.operation_id, failure))
        except VaultError as error:
            log.warning("the failure could not be reported", why=error.message)

    def _report(self, held: HeldLease, send: Callable[[], None]) -> None:
        """Until it is taken, or refused for good, or nobody wants it any more."""
        given_up_at = self._clock.monotonic() + REPORT_SECONDS
        attempt = 0
        while True:
            try:
                return send()
            except VaultError as error:
                cancelled = isinstance(held.reason, Cancelled) and not held.offer_again
                too_late = self._clock.monotonic() > given_up_at
                if error.retry is Retry.NEVER or cancelled or too_late:
                    raise
                pause = longer_of(pause_before(attempt, self._chance, longest=10.0), error)
            attempt += 1
            if self._stopping.wait(pause):
                self._clock.sleep(min(pause, TICK_SECONDS))

    # -- threads and the end

    def spawn(self, name: str, call: Callable[[], None]) -> None:
        """Run a call beside the loop; a bug in it is logged and costs nothing else."""
        self._thread(name, call, fatal=False).start()

    def _start(self, name: str, call: Callable[[], None]) -> None:
        self._thread(name, call).start()

    def _thread(
        self, name: str, call: Callable[[], None], *, fatal: bool = True
    ) -> threading.Thread:
        def guarded() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - the door: no thread may die unseen
                self._log.exception("bug", thread=name)
                if fatal:
                    self._fatal = error
                    self._stopping.set()

        return threading.Thread(target=guarded, name=name, daemon=True)

    def _let_go(self) -> None:
        until = self._clock.monotonic() + self._settings.stop_seconds
        with self._lock:
            held = dict(self._held)
        for lease in held:
            lease.stop(_stopping(), offer_again=True)
        for thread in held.values():
            thread.join(max(0.0, until - self._clock.monotonic()))
        self._settings.ready_file.unlink(missing_ok=True)


def run(settings: Settings, trades: Trades, clock: Clock, chance: Chance) -> None:
    """An agent from start to SIGTERM: enrol if need be, then lease and work.

    Raises what makes it impossible to begin: Precondition, Invalid, Unauthenticated, Forbidden.
    """
    own_directory(settings.data)
    settings.ready_file.unlink(missing_ok=True)
    book = ServerBook(settings.servers_file)
    book.servers()
    identity = enrolled(settings, clock, chance)
    with control_of(identity, clock, chance) as client:
        agent = Agent(settings, client, book, trades, clock, chance)
        with _stopped_by_signals(agent):
            agent.work()


def control_of(identity: Identity, clock: Clock, chance: Chance) -> ControlClient:
    """The line to the control plane of an enrolled agent."""
    return ControlClient(
        identity.control_url,
        ca_file=Path(identity.ca_file) if identity.ca_file else None,
        clock=clock,
        chance=chance,
        token=identity.agent_token,
    )


@contextmanager
def _stopped_by_signals(agent: Agent) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        agent.stop()

    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _failure(held: HeldLease, error: VaultError) -> Failure:
    """Why it failed. What the work met while it was being stopped is not the reason."""
    epoch = held.lease.epoch
    if held.reason is not None:
        return Failure(epoch=epoch, error=held.reason.to_dict(), retryable=held.offer_again)
    return Failure(epoch=epoch, error=error.to_dict(), retryable=error.retry is Retry.LATER)


def _bug(error: Exception) -> dict[str, Any]:
    """A bug as it travels: where it is, never what was in its hands."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return {
        "kind": type(error).__name__,
        "code": "Bug",
        "message": f"a bug in the agent: {type(error).__name__} at {where[-1]}",
        "hint": "The agent's log has the trace; please report it.",
        "facts": {"trace": where},
    }


def _stopping() -> Cancelled:
    return Cancelled("the agent is stopping", hint="The operation is offered again.")


def _names(lease: Lease) -> dict[str, Any]:
    order = lease.backup or lease.restore
    names: dict[str, Any] = {"operation": lease.operation_id, "epoch": lease.epoch}
    return names | ({"job": order.job_id} if order is not None else {})
