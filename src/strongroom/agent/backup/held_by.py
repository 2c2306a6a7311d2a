"""What holds a backup back: measured where it waits, told with its progress."""

import threading
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from strongroom.model.seams import Clock
from strongroom.model.work.operation import BY_LIMIT, BY_NETWORK, BY_SERVER

WINDOW_SECONDS = 10.0
_MOST = 0.6  # of the window: then it is this that is waited for
T = TypeVar("T")


class Sends(Protocol):
    """How long packs have waited for their turn, and how long storage took to take them in."""

    paced_seconds: float
    sending_seconds: float


class HeldBy:
    """Of one backup, which one thread reads or several at once; packs are sent beside them."""

    def __init__(self, clock: Clock, sends: Sends) -> None:
        self._clock = clock
        self._sends = sends
        self._lock = threading.Lock()
        self._readers = 0
        self._read = 0.0  # of all of them together
        self._told = ""
        self._begin()

    def _begin(self) -> None:
        self._since = self._clock.monotonic()
        self._before = self._read, self._sends.paced_seconds, self._sends.sending_seconds

    def reading(self, events: Iterable[T]) -> Iterator[T]:
        """The same, with the time measured until each of them has come."""
        waiting = iter(events)
        with self._lock:
            self._readers += 1
        try:
            while True:
                begun = self._clock.monotonic()
                try:
                    event = next(waiting)
                except StopIteration:
                    return
                with self._lock:
                    self._read += self._clock.monotonic() - begun
                yield event
        finally:
            with self._lock:
                self._readers -= 1

    def told(self) -> str:
        """As it was in the last window that has shown anything; one thread at a time asks."""
        window = self._clock.monotonic() - self._since
        if window < WINDOW_SECONDS:
            return self._told
        read, paced, sending = (
            now - before
            for now, before in zip(
                (self._read, self._sends.paced_seconds, self._sends.sending_seconds),
                self._before,
                strict=True,
            )
        )
        if read >= _MOST * window * max(1, self._readers):
            self._told = BY_SERVER
        elif paced + sending >= _MOST * window:
            self._told = BY_LIMIT if paced >= sending else BY_NETWORK
        elif paced + sending:
            self._told = ""  # neither: what was read is packed as fast as this host can
        else:
            return self._told  # a pack is under way: its time is told when it has arrived
        self._begin()
        return self._told
