"""A control plane without doors, one protected instance in its catalogue, and its sweeps."""

import threading
from collections.abc import Callable
from typing import Any

from catalogue_world import CatalogueWorld, open_catalogue
from integration.durable.stories import ENDED, until
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs
from strongroom.control.points import backups
from strongroom.durable.engine import JobEngine, Story
from strongroom.model.ids import JobId
from strongroom.model.work.job import JobKind


class SweepWorld(CatalogueWorld):
    """`tell`: what the story of a backup does. The story of protection fails by a bug."""

    def __init__(self, url: str) -> None:
        database = open_catalogue(url)
        self.engine = JobEngine(url, executor_id="a", listen_seconds=0.05)
        super().__init__(database, self.engine)
        self.told = threading.Event()
        self.gate = threading.Event()
        self.tell: Callable[[Story], Any] = lambda story: None
        self.engine.register("backup", self._story)
        self.engine.register("configure-protection", self._bug)
        self.engine.launch()

    def _story(self, story: Story, job_id: str) -> None:
        self.told.set()
        self.tell(story)

    def _bug(self, story: Story, instance_id: str, operation_id: str) -> None:
        raise KeyError(instance_id)

    def hold(self, story: Story) -> None:
        """A step that takes until the gate opens."""
        story.step("hold", lambda: self.gate.wait(30))

    def fire(self) -> JobId | None:
        """The next scheduled backup: None while one is under way."""
        self.clock.advance(1)
        with self.database.writing() as connection:
            now = self.clock.now()
            return backups.fire_backup(self.control, connection, self.instance, "rule", now)

    def queue(self) -> JobId:
        """A job behind the one under way."""
        job = JobId("00000000-0000-4000-8000-00000000beef")
        with self.database.writing() as connection:
            found = protection.by_id(connection, self.instance)
            asked = {"rule_name": "r", "tag": "", "user_triggered": True, "requested_by": "me"}
            now = self.clock.now()
            jobs.add(connection, job, found, JobKind.RESTORE, now, order={}, **asked)
            self.engine.enqueue(connection, "backup", f"job:{job}", job, partition=self.instance)
        return job

    def wait_for_end(self, story: str) -> None:
        def look() -> bool:
            found = self.engine.status(story)
            return bool(found and found.state in ENDED)

        until(f"{story} to end", look)

    def close(self) -> None:
        self.gate.set()
        self.engine.close()
        super().close()
