"""What runs by the clock: fire schedules, beat this process's heart, take over from the dead.

A sweep takes no input and is safe twice. One thread runs them all, one after the other.
"""

import threading

import structlog

from strongroom.catalog import executors
from strongroom.control import scheduling
from strongroom.model.errors import VaultError
from strongroom.workflows.means import Means

log = structlog.get_logger()

TICK_SECONDS = 5.0
DEAD_AFTER_SECONDS = 60.0


class Sweeps:
    """The service's own pulse."""

    def __init__(self, means: Means, executor_id: str) -> None:
        self._means = means
        self._executor_id = executor_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeps", daemon=True)

    def start(self) -> None:
        """Begin ticking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the sweep under way."""
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.tick()
            except VaultError as error:
                log.warning("sweep.failed", code=error.code, message=error.message)
            self._stop.wait(TICK_SECONDS)

    def tick(self) -> None:
        """All sweeps once."""
        control = self._means.control
        now = control.clock.now()
        with control.database.writing() as connection:
            executors.beat(connection, self._executor_id, now)
            dead = executors.silent_since(connection, now.subtract(seconds=DEAD_AFTER_SECONDS))
            executors.forget(connection, dead)
        if dead:
            taken = control.jobs.take_over(dead)
            log.info("executors.taken_over", executors=dead, workflows=taken)
        for job in scheduling.fire_due(control):
            log.info("schedule.fired", job=job)
