"""The seams for tests: real ones, and ones that can be steered."""

import hashlib
import os
import threading
import time

from whenever import Instant


class SystemClock:
    def now(self) -> Instant:
        return Instant.now()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class SystemChance:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


class FakeClock:
    """Stands still until told to move; sleeping moves it."""

    def __init__(self, start: str = "2026-01-01T00:00:00Z") -> None:
        self._now = Instant.parse_iso(start)
        self._monotonic = 0.0

    def now(self) -> Instant:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now = self._now.add(seconds=seconds)
        self._monotonic += seconds

    def set(self, text: str) -> None:
        self._now = Instant.parse_iso(text)


class SeededChance:
    """Looks like chance, is the same each time: SHA-256 of seed and counter."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._counter = 0
        self._lock = threading.Lock()

    def bytes(self, count: int) -> bytes:
        out = b""
        with self._lock:
            while len(out) < count:
                out += hashlib.sha256(f"{self._seed}:{self._counter}".encode()).digest()
                self._counter += 1
        return out[:count]
