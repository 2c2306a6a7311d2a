"""How fast bytes go into storage: so many a second, for all who share a throttle.

What is sent is a whole pack: the first one goes at once, each later one waits until those before
it are paid for. Over any stretch of time no more than the rate, and one pack, goes out.
"""

import threading
from collections.abc import Callable

from strongroom.datastore.places.blobs import Bytes, Creates
from strongroom.model.seams import Clock

Pace = Callable[[int], float]  # told how many bytes are to be sent, the seconds to wait before


def at_once(_count: int) -> float:
    """No limit."""
    return 0.0


class Throttle:
    """A token bucket. Safe for threads. The rate may be another one at each call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._paid_at = float("-inf")

    def reserve(self, count: int, rate: int) -> float:
        """Seconds to wait before `count` bytes may be sent at `rate` bytes a second; 0: no limit.

        They count as sent then: whoever gives up has used up their time.
        """
        if not rate:
            return 0.0
        with self._lock:
            now = self._clock.monotonic()
            begin = max(now, self._paid_at)
            self._paid_at = begin + count / rate
            return begin - now


class PacedBlobs:
    """A container into which objects go at a pace, one after the other."""

    def __init__(self, blobs: Creates, pace: Pace, pause: Callable[[float], None]) -> None:
        """`pause` waits so many seconds, and leaves with what it raises."""
        self._blobs = blobs
        self._pace = pace
        self._pause = pause

    def create(self, name: str, data: Bytes) -> None:
        """When it is its turn."""
        self._pause(self._pace(len(data)))
        self._blobs.create(name, data)
