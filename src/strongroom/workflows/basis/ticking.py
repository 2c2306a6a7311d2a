"""Sweeps that run by the clock, one after the other, in a thread of their own.

A sweep takes no input and is safe twice. No failure of one of them ends the thread: it is tried
again at the next tick.
"""

import threading
from collections.abc import Callable

import structlog

from strongroom.model.errors import VaultError
from strongroom.model.seams import Clock

TICK_SECONDS = 5.0
STOP_SECONDS = 3.0

log = structlog.get_logger()


class Ticking:
    """A thread and its sweeps."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._sweeps: dict[str, tuple[float, Callable[[], None]]] = {}
        self._due: dict[str, float] = {}

    def add(self, name: str, every: float, sweep: Callable[[], None]) -> None:
        """One more, due at once and then so many seconds after each success. Before `start`."""
        self._sweeps[name] = (every, sweep)
        self._due[name] = float("-inf")

    def start(self) -> None:
        """Begin ticking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the sweep under way, for a moment: broken off anywhere it is safe.

        One that tries storage again and again while that is gone would take its time.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.tick()
            self._stop.wait(TICK_SECONDS)

    def tick(self) -> None:
        """Every sweep whose time has come, once; one that fails comes again at the next tick."""
        for name, (every, sweep) in self._sweeps.items():
            if self._stop.is_set():
                return
            now = self._clock.monotonic()
            if now < self._due[name]:
                continue
            if self.attempt(name, sweep):
                self._due[name] = now + every

    def attempt(self, name: str, sweep: Callable[[], None]) -> bool:
        """Whether it went well; why not is in the log."""
        try:
            sweep()
        except VaultError as error:
            log.warning("sweep.failed", sweep=name, code=error.code, message=error.message)
        except Exception:  # a thread's top is a door: schedules must not end with a bug
            log.exception("sweep.bug", sweep=name)
        else:
            return True
        return False
