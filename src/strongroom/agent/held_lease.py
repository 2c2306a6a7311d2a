"""A lease while it is ours: heartbeats out, cancellation and fresh SAS in.

The work asks `check()` often and leaves with what it raises. Work that is blocked in a socket says
with `when_stopped` how to wake it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from strongroom.agent.control_client import ControlClient
from strongroom.model.errors import Cancelled, Invalid, LeaseLost, Retry, VaultError
from strongroom.model.seams import Clock
from strongroom.model.work.operation import Heartbeat, Lease, Progress, StorageAccess


class HeldLease:
    """One operation of ours, from lease to report. Safe for threads."""

    def __init__(
        self, client: ControlClient, lease: Lease, clock: Clock, heartbeat_seconds: float
    ) -> None:
        self.lease = lease
        self.client = client
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._progress = Progress(step="Connecting")
        self._access = lease.access
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._ended = False
        self._wake = threading.Event()  # a new step to tell of, or the end
        self._wake.set()
        self._closers: list[Callable[[], None]] = []
        self._reason: VaultError | None = None
        self._offer_again = False
        self._stopped_at = 0.0

    @property
    def reason(self) -> VaultError | None:
        """Why the work must stop: LeaseLost or Cancelled; None while it may go on."""
        return self._reason

    @property
    def offer_again(self) -> bool:
        """Whether somebody else should be given the operation that was stopped."""
        return self._offer_again

    @property
    def is_cancelled(self) -> bool:
        """Whether the work was asked to stop for good."""
        return isinstance(self._reason, Cancelled) and not self._offer_again

    def stopped_for(self) -> float:
        """Seconds since the work was asked to stop."""
        return self._clock.monotonic() - self._stopped_at

    @property
    def progress(self) -> Progress:
        """What the next heartbeat tells."""
        return self._progress

    @property
    def access(self) -> StorageAccess:
        """The newest access to storage; Invalid when the lease came without one."""
        access = self._access
        if access is None:
            raise Invalid("the order came without access to storage")
        return access

    def tell(self, progress: Progress) -> None:
        """What the next heartbeat tells; a new step is told at once."""
        is_new = progress.step != self._progress.step
        self._progress = progress
        if is_new:
            self._wake.set()

    def next_step(self, name: str, **counts: int) -> Progress:
        """Tell another step, with the counts so far but for those that are given."""
        self.tell(
            msgspec.structs.replace(self._progress, step=name, note="", held_by="", **counts)
        )
        return self._progress

    def sas(self, scope: str) -> str:
        """The newest SAS query string of a scope ("packs", "delta", "read").

        Raises Invalid when the control plane gave none for it.
        """
        found = self.access.sas.get(scope)
        if found is None:
            raise Invalid(f"the order came without a SAS for {scope!r}")
        return found

    def check(self) -> None:
        """Raise LeaseLost or Cancelled when the work must stop."""
        if self._stopped.is_set() and self._reason is not None:
            raise self._reason

    def pause(self, seconds: float) -> None:
        """Wait between two tries; leaves at once, as `check` does, when the work must stop."""
        self._stopped.wait(seconds)
        self.check()

    def stop(self, reason: VaultError, *, offer_again: bool = False) -> None:
        """Ask the work to stop. The first reason counts."""
        with self._lock:
            if self._stopped.is_set():
                return
            self._reason = reason
            self._offer_again = offer_again
            self._stopped_at = self._clock.monotonic()
            self._stopped.set()
            closers = list(self._closers)
        for close in closers:
            close()

    @contextmanager
    def when_stopped(self, close: Callable[[], None]) -> Iterator[None]:
        """Within: `close` is called once, from another thread, when the work must stop."""
        with self._lock:
            stopped = self._stopped.is_set()
            self._closers.append(close)
        try:
            if stopped:
                close()
            yield
        finally:
            with self._lock:
                self._closers.remove(close)

    def end(self) -> None:
        """No more heartbeats: the operation has been reported, or is not ours."""
        self._ended = True
        self._wake.set()

    def beat(self) -> None:
        """The heartbeat thread: renews the lease until `end`, or until it is lost.

        One beat at the beginning and at each new step: work of a few seconds is seen too.
        """
        renewed = self._clock.monotonic()
        while self._is_due():
            asked = self._clock.monotonic()
            try:
                self._beat_once()
            except VaultError as error:
                silence = self._clock.monotonic() - renewed
                if error.retry is Retry.LATER and silence <= self.lease.lease_seconds:
                    continue
                self.stop(_lost(error, silence))
                if error.retry is Retry.NEVER:
                    return
            else:
                renewed = asked

    def _is_due(self) -> bool:
        """Waits until the next beat is due; False at the end."""
        self._wake.wait(self._heartbeat_seconds)
        self._wake.clear()
        return not self._ended

    def _beat_once(self) -> None:
        reply = self.client.heartbeat(
            self.lease.operation_id,
            Heartbeat(epoch=self.lease.epoch, progress=self._progress),
            seconds=max(1.0, min(15.0, self.lease.lease_seconds / 3)),
        )
        if reply.access is not None:
            self._access = reply.access
        if reply.cancel:
            self.stop(Cancelled("the operation was cancelled"))


def _lost(error: VaultError, silence: float) -> LeaseLost:
    if isinstance(error, LeaseLost):
        return error
    return LeaseLost(
        f"the lease could not be renewed for {silence:.0f} s: {error.message}",
        hint="The control plane offers the operation again.",
        facts={"cause": error.to_dict()},
    )
