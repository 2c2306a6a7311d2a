"""A control plane without doors, one protected instance in its catalogue, and its sweeps."""

import threading
from collections.abc import Callable
from typing import Any

from contract.test_catalog_nouns import a_group, a_policy, a_server, a_vault, an_instance
from integration.durable.stories import ENDED, until
from seams import FakeClock, SystemChance
from strongroom.catalog import jobs, protection
from strongroom.catalog.database import Database
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.tables import policies
from strongroom.control import backups
from strongroom.control.control import Control
from strongroom.durable.engine import JobEngine, Story
from strongroom.model.ids import JobId
from strongroom.model.installation import Installation
from strongroom.model.job import Job, JobKind
from strongroom.model.operation import StorageAccess

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"

POLICY = """{"policyRules": [
  {"objectType": "AzureBackupRule", "name": "RULE", "backupParameters": {
     "objectType": "AzureBackupParams", "backupType": "Full"},
   "dataStore": {"dataStoreType": "VaultStore", "objectType": "DataStoreInfoBase"},
   "trigger": {"objectType": "ScheduleBasedTriggerContext",
     "schedule": {"repeatingTimeIntervals": ["R/2024-01-01T12:00:00+00:00/P1D"],
                  "timeZone": "UTC"},
     "taggingCriteria": [
       {"isDefault": true, "taggingPriority": 99, "tagInfo": {"tagName": "Default"}}]}},
  {"objectType": "AzureRetentionRule", "name": "Default", "isDefault": true, "lifecycles": [
     {"deleteAfter": {"objectType": "AbsoluteDeleteOption", "duration": "P3M"},
      "sourceDataStore": {"dataStoreType": "VaultStore", "objectType": "DataStoreInfoBase"}}]}
]}"""


class SweepWorld:
    """`tell`: what the story of a backup does. The story of protection fails by a bug."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        upgrade(self.database)
        self.engine = JobEngine(url, executor_id="a")
        self.clock = FakeClock()
        self.clock.set("2030-01-01T00:00:00Z")
        self.told = threading.Event()
        self.gate = threading.Event()
        self.tell: Callable[[Story], Any] = lambda story: None
        self.engine.register("backup", self._story)
        self.engine.register("configure-protection", self._bug)
        self.engine.launch()
        self.control = Control(
            database=self.database,
            jobs=self.engine,
            clock=self.clock,
            chance=SystemChance(),
            installation=Installation(
                tenant_id="t",
                subscription_id=SUBSCRIPTION,
                location="local",
                resource_group="RG-1",
                public_url="https://localhost:1",
                portal_url="http://127.0.0.1:1",
            ),
            release_keys=lambda *asked: b"",
            grant_access=lambda *asked: StorageAccess(container_url="", sas={}, expires_at=""),
            give_identifier=lambda *asked: None,
            withdraw_identifier=lambda *asked: None,
        )
        with self.database.writing() as connection:
            a_group(connection)
            vault = a_vault(connection)
            server = a_server(connection)
            self.instance = an_instance(connection, vault, a_policy(connection, vault), server)
            protection.set_state(connection, self.instance, "ProtectionConfigured")

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

    def use_policy(self, rule: str) -> None:
        """Every day at noon, by a rule of this name."""
        with self.database.writing() as connection:
            text = POLICY.replace("RULE", rule)
            connection.execute(policies.update().values(properties=text))

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

    def job(self, job_id: str) -> Job:
        with self.database.reading() as connection:
            return jobs.get(connection, job_id)

    def wait_for_end(self, story: str) -> None:
        def look() -> bool:
            found = self.engine.status(story)
            return bool(found and found.state in ENDED)

        until(f"{story} to end", look)

    def close(self) -> None:
        self.gate.set()
        self.engine.close()
        self.database.close()
