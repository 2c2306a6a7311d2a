"""A control plane without doors over a catalogue in which one instance is protected.

A catalogue in a file is a copy of one that was made before: its schema is the same each time.
"""

import functools
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from contract.test_catalog_nouns import a_group, a_policy, a_server, a_vault, an_instance
from seams import FakeClock, SystemChance
from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.protection import protection
from strongroom.catalog.tables.tables import policies
from strongroom.catalog.work import jobs
from strongroom.control.basis.control import Control
from strongroom.durable.engine import JobEngine
from strongroom.model.installation import Installation
from strongroom.model.work.job import Job
from strongroom.model.work.operation import StorageAccess

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
_FILE = "sqlite:///"
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


class Untold:
    """Stories that nobody runs: what a test wants of them, it does step by step."""

    def enqueue(
        self, connection: sa.Connection, name: str, story: str, *args: Any, partition: str = ""
    ) -> None:
        del connection, name, story, args, partition

    def notify(self, story: str, topic: str, message: Any) -> None:
        del story, topic, message


@functools.cache
def _made() -> bytes:
    """A catalogue of this release with nothing in it."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "catalogue.sqlite"
        database = Database(f"{_FILE}{path}")
        upgrade(database)
        database.close()
        return path.read_bytes()


def open_catalogue(url: str) -> Database:
    """One with its schema."""
    if url.startswith(_FILE):
        Path(url.removeprefix(_FILE)).write_bytes(_made())
        return Database(url)
    found = Database(url)
    upgrade(found)
    return found


class CatalogueWorld:
    """`instance` is protected; `stories` are told by whoever a test says."""

    def __init__(self, database: Database, stories: JobEngine | Untold) -> None:
        self.database = database
        self.clock = FakeClock()
        self.clock.set("2030-01-01T00:00:00Z")
        self.control = Control(
            database=self.database,
            jobs=stories,  # type: ignore[arg-type]
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

    def use_policy(self, rule: str) -> None:
        """Every day at noon, by a rule of this name."""
        with self.database.writing() as connection:
            text = POLICY.replace("RULE", rule)
            connection.execute(policies.update().values(properties=text))

    def job(self, job_id: str) -> Job:
        with self.database.reading() as connection:
            return jobs.get(connection, job_id)

    def close(self) -> None:
        self.database.close()
