"""Years in seconds: the real control plane, catalogue and expiry, with a clock that is told.

What stands in: storage is a dictionary that keeps locks and holds as the endpoint does, agents'
work is a sentence that says how it ended, and durable stories run at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from whenever import Instant

from contract.test_catalog_nouns import a_group, a_server
from seams import FakeClock, SeededChance
from strongroom.catalog.basis.database import Database
from strongroom.catalog.identities import principals
from strongroom.catalog.protection import instances
from strongroom.catalog.resources import policies, vaults
from strongroom.catalog.tables import tables
from strongroom.catalog.work import jobs
from strongroom.control.basis.control import Control
from strongroom.control.identities.identity import create_service_principal
from strongroom.control.protection import scheduling
from strongroom.datastore.maps.manifest import Manifest, PackFacts, PointFacts
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.container import Immutability, Lock
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.arm import VaultRef
from strongroom.model.errors import ObjectExists, ObjectMissing, SourceStopped
from strongroom.model.identities.access import OWNER, Caller
from strongroom.model.ids import InstanceId
from strongroom.model.installation import Installation
from strongroom.model.protection.policy import parse_policy
from strongroom.model.work.operation import BackupResult, StorageAccess
from strongroom.workflows.backup import apply_policy
from strongroom.workflows.backup.commit import _sign, point_id_of, record_point, verdict_of
from strongroom.workflows.basis import agent_work, locking
from strongroom.workflows.basis.kek import KeyEncryption, KeyFile
from strongroom.workflows.basis.keyring import Keyring
from strongroom.workflows.basis.means import Means
from strongroom.workflows.expiry import expire, holding
from strongroom.workflows.garbage import collect
from worlds import SOURCE

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = "RG-1"


@dataclass
class Shelf:
    """One container: objects, and a book of locks and holds as the storage endpoint keeps it."""

    clock: FakeClock
    objects: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, Instant] = field(default_factory=dict)
    holds: dict[str, set[str]] = field(default_factory=dict)
    state: Immutability = field(default_factory=lambda: Immutability("Disabled"))
    refused: list[str] = field(default_factory=list)

    def read(self, name: str) -> bytes:
        if name not in self.objects:
            raise ObjectMissing(f"{name} is not there")
        return self.objects[name]

    def create(self, name: str, data: bytes) -> None:
        if name in self.objects:
            raise ObjectExists(f"{name} is there")
        self.objects[name] = data

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        return [
            (name, len(data)) for name, data in self.objects.items() if name.startswith(prefix)
        ]

    def extend_locks(self, names: Sequence[str], until: Instant) -> Sequence[Lock]:
        for name in names:
            self.locks[name] = max(until, self.locks.get(name, until))
        return [self.lock(name) for name in names]

    def lock(self, name: str) -> Lock:
        until = self.locks[name].format_iso() if name in self.locks else None
        return Lock(self.state.state, until, sorted(self.holds.get(name, ())))

    def hold(self, name: str, identifier: str) -> Lock:
        self.holds.setdefault(name, set()).add(identifier)
        return self.lock(name)

    def lift_hold(self, name: str, identifier: str) -> Lock:
        self.holds.get(name, set()).discard(identifier)
        return self.lock(name)

    def immutability(self) -> Immutability:
        return self.state

    def set_immutability(self, wanted: Immutability) -> Immutability:
        self.state = wanted
        return wanted

    def locked_until(self, name: str) -> Instant:
        return self.locks.get(name, Instant.MIN)

    def keeps(self, name: str) -> bool:
        """Whether it refuses to delete this: held, or locked where locks bind."""
        places = [name, f"{name.partition('/')[0]}/"]
        if any(self.holds.get(place) for place in places):
            return True
        return self.state.state != "Disabled" and self.locked_until(name) > self.clock.now()

    def delete(self, name: str) -> bool:
        if self.keeps(name):
            self.refused.append(name)
            return False
        self.objects.pop(name, None)
        return True


class Shelves:
    """Storage, as the control plane's means see it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.all: dict[str, Shelf] = {}

    def container(self, instance_id: str) -> Shelf:
        return self.all.setdefault(instance_id, Shelf(self._clock))

    account_view = container


class AtOnce:
    """Durable stories that run when `run` is called: what was enqueued, in its order."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, tuple[Any, ...]]] = []
        self.known: set[str] = set()

    def enqueue(
        self, connection: sa.Connection, name: str, story: str, *args: Any, partition: str = ""
    ) -> None:
        if story not in self.known:
            self.known.add(story)
            self.waiting.append((name, args))

    def step(self, name: str, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)


class Lapse:
    """A control plane with as many protected servers as policies."""

    def __init__(self, home: Path, start: datetime) -> None:
        self.clock, self.chance = FakeClock(), SeededChance(5)
        self.packs: dict[str, list[PackFacts]] = {}  # of each point
        self.go_to(start)
        self.database = Database(f"sqlite:///{home}/catalogue.sqlite")
        sa.event.listen(self.database.engine, "connect", _hurry)
        tables.metadata.create_all(self.database.engine)
        self.stories, self.shelves = AtOnce(), self.lay_shelves(home)
        self.control = Control(
            database=self.database,
            jobs=self.stories,
            clock=self.clock,
            chance=self.chance,
            installation=Installation(
                tenant_id="t",
                subscription_id=SUBSCRIPTION,
                location="local",
                resource_group=GROUP,
                public_url="https://localhost:1",
                portal_url="http://127.0.0.1:1",
            ),
            release_keys=lambda *asked: b"",
            grant_access=lambda *asked: StorageAccess(container_url="", sas={}, expires_at=""),
            give_identifier=lambda *asked: None,
            withdraw_identifier=lambda *asked: None,
        )
        self.signing = SigningKey(self.chance.bytes(32))
        file = KeyFile(home / "kek.key")
        file.ensure(self.chance)
        kek = KeyEncryption([file], self.chance)
        keyring = Keyring(self.database, kek, KeyPair.generate(self.chance).public, self.signing)
        self.means = Means(control=self.control, keyring=keyring, storage=self.shelves)
        owner = create_service_principal(self.control, "me", "me", "s" * 20, [(OWNER.id, "/")])
        self.caller = Caller(principal_id=owner)
        with self.database.writing() as connection:
            a_group(connection)

    def lay_shelves(self, home: Path) -> Any:
        """Where storage is."""
        del home
        return Shelves(self.clock)

    def go_to(self, at: datetime) -> None:
        self.clock.set(Instant(at).format_iso())

    def close(self) -> None:
        self.database.close()

    def vault(self, name: str, immutability: str) -> VaultRef:
        """One whose containers are so."""
        settings = {"securitySettings": {"immutabilitySettings": {"state": immutability}}}
        now = self.clock.now()
        row: dict[str, Any] = {"id": f"id-of-{name}", "resource_group_key": GROUP.lower()}
        row |= {"name": name, "name_key": name.lower(), "location": "local", "tags": {}}
        row |= {"principal_id": f"who-{name}", "properties": settings, "state": "Succeeded"}
        who = {"id": row["principal_id"], "kind": "vault", "display_name": name}
        with self.database.writing() as connection:
            principals.add(connection, {**who, "created_at": now})
            vaults.add(connection, {**row, "version": 1, "created_at": now})
        return VaultRef(resource_group=GROUP, name=name)

    def protect(self, vault: VaultRef, name: str, policy: str) -> InstanceId:
        """A server of this name, under a policy of the vault that is there."""
        now = self.clock.now()
        with self.database.writing() as connection:
            found = policies.find(connection, f"id-of-{vault.name}", policy)
            assert found is not None
            row: dict[str, Any] = {"id": f"id-of-{name}", "vault_id": found["vault_id"]}
            row |= {"name": name, "name_key": name.lower(), "properties": {}, "tags": {}}
            row |= {"server_id": a_server(connection, f"PG-{name}"), "policy_id": found["id"]}
            instances.add(connection, {**row, "state": "ProtectionConfigured", "created_at": now})
            rules = parse_policy(found["properties"])
            scheduling.plan_instance(self.control, connection, row["id"], rules)
        locking.make_immutable(self.means, row["id"])
        return InstanceId(row["id"])

    @staticmethod
    def instance(name: str) -> InstanceId:
        """The id of a protected server."""
        return InstanceId(f"id-of-{name}")

    def begin_due(self) -> list[str]:
        """One look of the scheduler; the jobs that have begun."""
        due = scheduling.list_due(self.control)
        found = [scheduling.fire(self.control, row) for row in due]
        return [job for job in found if job]

    def run_stories(self) -> list[str]:
        """All that was enqueued but backups; the jobs of those."""
        backups = []
        while self.stories.waiting:
            name, args = self.stories.waiting.pop(0)
            match name:
                case "backup":
                    backups.append(args[0])
                case "set-hold":
                    holding.set_hold(self.means, self.stories, *args)
                case "release-hold":
                    holding.release_hold(self.means, self.stories, *args)
                case "apply-policy":
                    apply_policy.apply_policy(self.means, self.stories, *args)
                case "lock-vault":
                    locking.lock_vault(self.means, self.stories, *args)
                case "expire-instance":
                    expire.expire_instance(self.means, self.stories, *args)
                case other:
                    raise AssertionError(other)
        return backups

    def fail(self, job_id: str) -> None:
        """The backup of a job came to nothing."""
        agent_work.fail_job(self.means, job_id, SourceStopped("it went away").to_dict())

    def commit(self, job_id: str, parent: str = "") -> str:
        """The backup of a job is whole: every step of its commit but the bytes; the point.

        With a parent it leans on all packs of that point.
        """
        return self.conclude(job_id, *self.report(job_id, parent))

    def report(self, job_id: str, parent: str = "") -> tuple[BackupResult, Manifest]:
        """The agent has put its packs and says so."""
        result = BackupResult(
            delta_size=1,
            delta_blake3=b"",
            raw_bytes=1 << 20,
            stored_bytes=1 << 18,
            files=1,
            packs=1,
            start_lsn="0/1",
            stop_lsn="0/2",
            timeline=1,
            version_number=180001,
            system_identifier="1",
            read_bytes=1 << 19,
        )
        told: dict[str, Any] = {"id": job_id, "job_id": job_id, "agent_id": "agent-id"}
        told |= {"kind": "backup", "status": "completed", "epoch": 1, "withdrawn": 1}
        told |= {"order": {}, "progress": {}, "created_at": self.clock.now()}
        with self.database.writing() as connection:
            job = jobs.get(connection, job_id)
            kept = msgspec.to_builtins(result)
            connection.execute(tables.agent_operations.insert().values(**told, result=kept))
        manifest = self._manifest(job, point_id_of(job.id), parent)
        self.shelves.container(job.instance_id).create(manifest.packs[0].name, b"sealed")
        return result, manifest

    def conclude(self, job_id: str, result: BackupResult, manifest: Manifest) -> str:
        """From the report to the row; what storage refuses leaves it to be tried again."""
        with self.database.reading() as connection:
            job = jobs.get(connection, job_id)
        point, shelf = point_id_of(job.id), self.shelves.container(job.instance_id)
        if len(manifest.packs) > 1:
            collect.keep(self.means, job.instance_id, [pack.name for pack in manifest.packs])
        verdict = verdict_of(self.means, job, result)
        generations = {pack.generation for pack in manifest.packs}
        locking.lock_point(self.means, job.instance_id, point, generations, verdict.expires_at)
        shelf.create(f"p/{point}.manifest", b"map")
        receipt = _sign(self.means, job, manifest, b"map", verdict)
        record_point(self.means, job_id, msgspec.to_builtins(receipt))
        return point

    def _manifest(self, job: Any, point: str, parent: str) -> Manifest:
        facts = PointFacts(
            recovery_point_id=point,
            instance_id=job.instance_id,
            job_id=job.id,
            taken_at=job.started_at.format_iso(),
            committed_at=self.clock.now().format_iso(),
            generation=point,
        )
        pack = PackFacts(
            id=UUID(hex=point).bytes, generation=point, size=6, blake3=bytes(32), raw_size=6
        )
        self.packs[point] = [pack, *self.packs.get(parent, [])]
        return Manifest(
            version=1,
            facts=facts,
            source=SOURCE,
            files=[],
            extents={},
            packs=self.packs[point],
            pg_manifest=b"",
        )

    def expire(self, instance: InstanceId) -> None:
        expire.expire(self.means, instance)

    def living(self) -> dict[str, set[tuple[str, str, datetime]]]:
        """Instance -> (point, tag, end) of all that the catalogue lists."""
        table = tables.recovery_points
        columns = table.c.instance_id, table.c.id, table.c.tag, table.c.expires_at
        query = sa.select(*columns).where(table.c.state == "Completed")
        found: dict[str, set[tuple[str, str, datetime]]] = {}
        with self.database.reading() as connection:
            for instance, point, tag, ends in connection.execute(query):
                found.setdefault(instance, set()).add((point, tag, ends.to_stdlib()))
        return found


def _hurry(connection: Any, record: Any) -> None:
    """No power is lost here."""
    connection.execute("PRAGMA synchronous=OFF")
