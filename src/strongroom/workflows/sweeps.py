"""What runs by the clock: this process's heart, the dead, the schedules, orphans, forgetting.

A sweep takes no input and is safe twice. One thread runs them all, one after the other, and no
failure of one of them ends the thread: it is tried again.
"""

import threading
from collections.abc import Callable
from functools import partial

import structlog
from sqlalchemy import RowMapping

from strongroom.catalog import executors
from strongroom.control import epochs, forgetting, orphans, scheduling
from strongroom.control.control import Control
from strongroom.model.errors import VaultError

log = structlog.get_logger()

TICK_SECONDS = 5.0
DEAD_AFTER_SECONDS = 60.0
ORPHANS_SECONDS = 30.0
FORGET_SECONDS = 86_400.0


class Sweeps:
    """The service's own pulse."""

    def __init__(self, control: Control, executor_id: str) -> None:
        self._control = control
        self._executor_id = executor_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeps", daemon=True)
        self._sweeps: dict[str, tuple[float, Callable[[], None]]] = {
            "alive": (0.0, self._stay_alive),
            "schedules": (0.0, self._fire_due),
            "access": (0.0, partial(epochs.withdraw_ended, control)),
            "orphans": (ORPHANS_SECONDS, self._end_orphans),
            "forgetting": (FORGET_SECONDS, self._forget_ended),
        }
        self._due = dict.fromkeys(self._sweeps, float("-inf"))
        self._last_beat = self._watching_since = float("-inf")

    def beat(self) -> None:
        """This process is alive: before its first work, so that its work is never nobody's."""
        now = self._control.clock.now()
        with self._control.database.writing() as connection:
            executors.beat(connection, self._executor_id, now)

    def start(self) -> None:
        """Begin ticking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the sweep under way."""
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.tick()
            self._stop.wait(TICK_SECONDS)

    def tick(self) -> None:
        """Every sweep whose time has come, once; one that fails comes again at the next tick."""
        for name, (every, sweep) in self._sweeps.items():
            now = self._control.clock.monotonic()
            if now < self._due[name]:
                continue
            if self._attempt(name, sweep):
                self._due[name] = now + every

    def _attempt(self, name: str, sweep: Callable[[], None]) -> bool:
        try:
            sweep()
        except VaultError as error:
            log.warning("sweep.failed", sweep=name, code=error.code, message=error.message)
        except Exception:  # a thread's top is a door: schedules must not end with a bug
            log.exception("sweep.bug", sweep=name)
        else:
            return True
        return False

    def _stay_alive(self) -> None:
        """Beat, and take over from the dead: those silent for a minute in which we could hear."""
        control = self._control
        self.beat()
        seconds = control.clock.monotonic()
        if seconds - self._last_beat > DEAD_AFTER_SECONDS / 2:
            self._watching_since = seconds  # an outage, or a pause, silenced others too
        self._last_beat = seconds
        if seconds - self._watching_since < DEAD_AFTER_SECONDS:
            return
        before = control.clock.now().subtract(seconds=DEAD_AFTER_SECONDS)
        with control.database.reading() as connection:
            dead = executors.silent_since(connection, before)
        if not dead:
            return
        taken = control.jobs.take_over(dead)
        with control.database.writing() as connection:
            executors.forget(connection, dead, before)
        log.info("executors.taken_over", executors=dead, workflows=taken)

    def _fire_due(self) -> None:
        for due in scheduling.list_due(self._control):
            self._attempt("schedules", partial(self._fire, due))

    def _fire(self, due: RowMapping) -> None:
        job = scheduling.fire(self._control, due)
        if job is not None:
            log.info("schedule.fired", job=job)

    def _end_orphans(self) -> None:
        for ended in orphans.end_orphans(self._control):
            log.error("orphan.failed", id=ended)

    def _forget_ended(self) -> None:
        log.info("forgotten", **forgetting.forget_ended(self._control))
