"""The seams for tests: real ones, and ones that can be steered.

Clock, Chance and Proc are here; Disk is in faulty_disk.py, Blobs in faults.py, Net in net.py.
"""

import hashlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

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


class Proc:
    """Child processes by name: started, killed, paused and continued; each writes its log."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None
    ) -> None:
        """`more` is laid over this process's own environment."""
        environment = {**os.environ, **(more or {})}
        with self.log_file(name).open("ab") as log:
            self._children[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def log_file(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def pids(self) -> dict[str, int]:
        """Those that run."""
        return {name: c.pid for name, c in self._children.items() if c.poll() is None}

    def runs(self, name: str) -> bool:
        return self._children[name].poll() is None

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal that ends it, and wait until it has."""
        self._children[name].send_signal(number)
        self._children[name].wait(timeout=30)

    def pause(self, name: str) -> None:
        """It stands still, its connections stay open."""
        self._children[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        self._children[name].send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End all that run, whatever state they are in."""
        for name in self.pids():
            self.go_on(name)
            self._children[name].terminate()
        for child in self._children.values():
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(timeout=20)
