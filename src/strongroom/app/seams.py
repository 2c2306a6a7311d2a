"""The real clock and the real chance. Nobody else makes them."""

import os
import time

from whenever import Instant


class SystemClock:
    """The machine's clock."""

    def now(self) -> Instant:
        """Wall clock, UTC."""
        return Instant.now()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SystemChance:
    """The machine's own randomness."""

    def bytes(self, count: int) -> bytes:
        """`count` fresh bytes."""
        return os.urandom(count)
