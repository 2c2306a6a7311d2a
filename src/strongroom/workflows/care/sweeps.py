"""What runs by the clock: this process's heart, the dead, the schedules, orphans, forgetting."""

from functools import partial

import structlog
from sqlalchemy import RowMapping

from strongroom.catalog.installation import executors
from strongroom.control.basis.control import Control
from strongroom.control.basis.service_clock import NOTE_SECONDS
from strongroom.control.protection import scheduling
from strongroom.control.work import epochs, forgetting, orphans
from strongroom.workflows.basis.ticking import Ticking

log = structlog.get_logger()

DEAD_AFTER_SECONDS = 60.0
ORPHANS_SECONDS = 30.0
FORGET_SECONDS = 86_400.0
REFUSALS_SECONDS = 60.0


class Sweeps(Ticking):
    """The service's own pulse."""

    def __init__(self, control: Control, executor_id: str) -> None:
        super().__init__("sweeps", control.clock)
        self._control = control
        self._executor_id = executor_id
        self.add("alive", 0.0, self._stay_alive)
        self.add("schedules", 0.0, self._fire_due)
        self.add("access", 0.0, partial(epochs.withdraw_ended, control))
        self.add("clock", NOTE_SECONDS, self._note_clock)
        self.add("refusals", REFUSALS_SECONDS, self._write_refusals)
        self.add("orphans", ORPHANS_SECONDS, self._end_orphans)
        self.add("forgetting", FORGET_SECONDS, self._forget_ended)
        self._last_beat = self._watching_since = float("-inf")

    def beat(self) -> None:
        """This process is alive: before its first work, so that its work is never nobody's."""
        now = self._control.clock.now()
        with self._control.database.writing() as connection:
            executors.beat(connection, self._executor_id, now)

    def _note_clock(self) -> None:
        if self._control.service_clock is not None:
            self._control.service_clock.note()

    def _write_refusals(self) -> None:
        self._control.refusals.write(self._control.database, self._control.clock.now())

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
            self.attempt("schedules", partial(self._fire, due))

    def _fire(self, due: RowMapping) -> None:
        job = scheduling.fire(self._control, due)
        if job is not None:
            log.info("schedule.fired", job=job)

    def _end_orphans(self) -> None:
        for ended in orphans.end_orphans(self._control):
            log.error("orphan.failed", id=ended)

    def _forget_ended(self) -> None:
        log.info("forgotten", **forgetting.forget_ended(self._control))
