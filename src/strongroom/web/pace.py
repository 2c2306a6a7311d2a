"""How much one caller may ask in a while: so much at once, then so much a second.

The numbers lie far above what Azure's clients ask for; a caller who meets them runs in circles.
Each `serve` process counts for itself.
"""

import threading
from collections import OrderedDict

from strongroom.model.errors import SlowDown
from strongroom.model.seams import Clock

AT_ONCE = 6000
A_SECOND = 300.0
_MOST_CALLERS = 10_000


class Pace:
    """A bucket of tokens for each caller."""

    def __init__(
        self, clock: Clock, *, at_once: int = AT_ONCE, a_second: float = A_SECOND
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._at_once = float(at_once)
        self._a_second = a_second
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (tokens, when)

    def take(self, caller: str) -> None:
        """One request more. Raises SlowDown, with the seconds to wait."""
        with self._lock:
            now = self._clock.monotonic()
            had, at = self._left.pop(caller, (self._at_once, now))
            left = min(had + (now - at) * self._a_second, self._at_once)
            self._left[caller] = (left - 1.0 if left >= 1.0 else left, now)
            if len(self._left) > _MOST_CALLERS:
                self._left.popitem(last=False)  # who has asked for nothing the longest
        if left < 1.0:
            raise SlowDown(
                f"more than {self._a_second:g} requests a second",
                hint="wait as long as Retry-After says",
                code="TooManyRequests",
                facts={"retry_after_seconds": (1.0 - left) / self._a_second},
            )
