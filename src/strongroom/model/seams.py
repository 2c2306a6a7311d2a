"""Where time and chance come in. Only `app.py` and tests make real ones."""

from typing import Protocol

from whenever import Instant


class Clock(Protocol):
    """The time. Service time is the control plane's; the agent's and the store's are their own."""

    def now(self) -> Instant:
        """Wall clock, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait. Only for pauses between tries; an event that can be awaited is awaited."""
        ...


class Chance(Protocol):
    """Unpredictable bytes, fit for keys."""

    def bytes(self, count: int) -> bytes:
        """`count` fresh bytes."""
        ...
