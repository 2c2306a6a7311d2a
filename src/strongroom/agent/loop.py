"""The loop: lease an operation, do it, report it. One of the three doors that catch bugs.

Threads: one polls for work and one watches the servers; each operation has one that works and
one that beats. There is a permit for each slot: who asks for work holds one.
"""

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from strongroom import compiled
from strongroom.agent.asks import Asks
from strongroom.agent.backoff import pause_before
from strongroom.agent.bounds import check_order
from strongroom.agent.check import check
from strongroom.agent.control_client import ControlClient, longer_of
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.own_settings import OwnSettingsFile
from strongroom.agent.private_file import write_private
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Settings
from strongroom.agent.watch import Look, ServerWatch
from strongroom.model.errors import (
    Cancelled,
    Invalid,
    LeaseLost,
    Retry,
    Unauthenticated,
    VaultError,
)
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.operation import Completion, Failure, Lease, LeaseRequest

TICK_SECONDS = 0.5  # how soon a changed servers.json is seen
REPORT_SECONDS = 3600.0  # a report that nobody takes for so long is given up; the lease ends then

Work = Callable[[HeldLease], Completion]


@dataclass(frozen=True, slots=True)
class Trades:
    """What an agent does with orders, and how it looks at a server: real, or made up in tests."""

    look: Look
    take_backup: Work
    restore: Work
    verify: Work
    look_at: Work
    stream: Work
    let_go: Callable[[], None]  # of what an operation held, once it has been reported


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
        self._book = book
        self._watch = ServerWatch(
            book, trades.look, clock, self.spawn, facts_seconds=settings.facts_seconds
        )
        self._trades = trades
        self._own = OwnSettingsFile(settings.own_file)
        self._clock = clock
        self._chance = chance
        self._session = chance.bytes(16).hex()
        self._asks = Asks(chance)
        self._log = structlog.get_logger("strongroom.agent")
        self._stopping = threading.Event()
        self._permits = threading.Semaphore(settings.slots)
        self._lock = threading.Lock()
        self._held: dict[HeldLease, threading.Thread] = {}
        self._workers: dict[str, threading.Thread] = {}  # by operation
        self._fatal: BaseException | None = None
        self._leased_before = False

    def stop(self) -> None:
        """Lease no more, and let go of the current work within `stop_seconds`."""
        self._stopping.set()

    def work(self) -> bool:
        """Until `stop`; whether all work has let go by then.

        Raises what made it impossible to go on, if anything did.
        """
        self._start("poll", self._poll)
        self._start("watch", self._look_after_servers)
        self._stopping.wait()
        self._log.info("stopping")
        let_go = self._let_go()
        if self._fatal is not None:
            raise self._fatal
        return let_go

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
            with self._asks.one() as ask:
                request = LeaseRequest(
                    servers=self._watch.facts(),
                    wait_seconds=wait_seconds,
                    session=self._session,
                    ask=ask,
                )
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
        pages = "compiled" if compiled.page_sums is not None else "in Python"
        self._log.info("ready", pages=pages)

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
        thread = self._thread(f"work-{lease.operation_id}", lambda: self._hold(held))
        with self._lock:  # who lets go must not meet a thread that has not begun
            self._held[held] = thread
            thread.start()
        if _lasts(lease):
            self._permits.release()  # it lasts for ever, and waits most of the time
        if self._stopping.is_set():
            held.stop(_stopping(), offer_again=True)

    def _hold(self, held: HeldLease) -> None:
        self._carry_out(held)
        self._trades.let_go()  # a failure's frames hold buffers, until here

    def _carry_out(self, held: HeldLease) -> None:
        """From lease to report. The work has a thread of its own: it may be stuck."""
        name = held.lease.operation_id
        log = self._log.bind(**_names(held.lease))
        log.info("operation begun")
        outcome: Future[Completion] = Future()
        with self._lock:
            earlier = self._workers.get(name)
            worker = self._thread(f"do-{name}", lambda: self._attempt(held, earlier, outcome))
            self._workers[name] = worker
        try:
            self._start(f"beat-{name}", held.beat)
            worker.start()
            self._settle(held, outcome, log)
        finally:
            held.end()
            with self._lock:
                del self._held[held]

    def _attempt(
        self, held: HeldLease, earlier: threading.Thread | None, outcome: Future[Completion]
    ) -> None:
        """Do it, once no earlier attempt of the same operation is still letting go."""
        try:
            while earlier is not None and earlier.is_alive():
                held.pause(TICK_SECONDS)
            held.check()
            outcome.set_result(self._do(held))
        except Exception as error:  # noqa: BLE001 - the door: `_settle` tells bugs from failures
            outcome.set_exception(error)
        finally:
            with self._lock:
                if self._workers.get(held.lease.operation_id) is threading.current_thread():
                    del self._workers[held.lease.operation_id]
            if not _lasts(held.lease):
                self._permits.release()

    def _settle(
        self,
        held: HeldLease,
        outcome: Future[Completion],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        operation_id, epoch = held.lease.operation_id, held.lease.epoch
        try:
            completion = self._await(held, outcome)
            self._report(held, lambda: self._client.complete(operation_id, completion))
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
            self._report(held, lambda: self._client.fail(operation_id, failure))
        except VaultError as error:
            log.warning("the failure could not be reported", why=error.message)

    def _await(self, held: HeldLease, outcome: Future[Completion]) -> Completion:
        """Work that does not let go in time is left to itself; its effects count no more."""
        grace = self._settings.stop_seconds / 2
        while not outcome.done():
            if held.reason is not None and held.stopped_for() > grace:
                raise held.reason
            wait([outcome], timeout=TICK_SECONDS / 2)
        return outcome.result()

    def _do(self, held: HeldLease) -> Completion:
        lease = held.lease
        check_order(lease, self._own.load())
        if lease.backup is not None:
            return self._trades.take_backup(held)
        if lease.restore or lease.extract or lease.load or lease.drill or lease.long_term:
            return self._trades.restore(held)
        if lease.verify is not None:
            return self._trades.verify(held)
        if lease.look is not None:
            return self._trades.look_at(held)
        if lease.stream is not None:
            return self._trades.stream(held)
        if lease.check is not None:
            return check(held, self._book, self._watch)
        raise Invalid(
            "the order is of a kind that this agent does not know",
            hint="Update the agent to the control plane's version.",
        )

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
                if not isinstance(error, VaultError):
                    self._log.exception("bug", thread=name)
                if fatal:
                    self._fatal = error
                    self._stopping.set()

        return threading.Thread(target=guarded, name=name, daemon=True)

    def _let_go(self) -> bool:
        until = self._clock.monotonic() + self._settings.stop_seconds
        with self._lock:
            held = dict(self._held)
        for lease in held:
            lease.stop(_stopping(), offer_again=True)
        for thread in held.values():
            thread.join(max(0.0, until - self._clock.monotonic()))
        self._settings.ready_file.unlink(missing_ok=True)
        with self._lock:
            return not self._workers


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


def _lasts(lease: Lease) -> bool:
    """For as long as somebody wants it: it takes no slot from the others."""
    recovery = lease.restore.recovery if lease.restore is not None else None
    return lease.stream is not None or (recovery is not None and recovery.follow)


def _stopping() -> Cancelled:
    return Cancelled("the agent is stopping", hint="The operation is offered again.")


def _names(lease: Lease) -> dict[str, Any]:
    orders = (lease.backup, lease.restore, lease.extract, lease.load, lease.verify, lease.drill)
    names: dict[str, Any] = {"operation": lease.operation_id, "epoch": lease.epoch}
    known = next((order.job_id for order in orders if order is not None), None)
    job = known if lease.long_term is None else lease.long_term.job_id
    return names | ({} if job is None else {"job": job})
