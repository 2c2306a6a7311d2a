"""A control plane's means over a real storage endpoint, with points written in earnest."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from catalogue_world import CatalogueWorld, Untold, open_catalogue
from seams import SeededChance, SystemChance, SystemClock
from store_world import KEY, StoreWorld, a_store_world
from strongroom.catalog.oversight import audit as audit_rows
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.resources import vaults
from strongroom.catalog.tables.tables import audit
from strongroom.catalog.work import jobs
from strongroom.datastore.keys.keys import RecoveryKey
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.errors import StoreUnavailable
from strongroom.model.ids import JobId
from strongroom.model.work.job import JobKind, JobStatus
from strongroom.workflows.basis.kek import KeyEncryption, KeyFile
from strongroom.workflows.basis.keyring import PURPOSES, Keyring
from strongroom.workflows.basis.locking import make_immutable
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.vault_storage import VaultStorage
from worlds import Keys, World, point_id, small_tree

LIFE_HOURS = 1000  # of every point


class CareWorld(CatalogueWorld):
    """`written` writes points into the container of the one instance, as an agent and a commit."""

    def __init__(self, home: Path, store: StoreWorld) -> None:
        super().__init__(open_catalogue(f"sqlite:///{home}/catalogue.sqlite"), Untold())
        self.use_policy("rule")
        self.store = store
        chance = SeededChance(7)
        signing = SigningKey(chance.bytes(32))
        recovery = KeyPair.generate(chance)
        self.kek_file = KeyFile(home / "kek.key")
        self.kek_file.ensure(chance)
        kek = KeyEncryption([self.kek_file], SystemChance())
        keyring = Keyring(self.database, kek, recovery.public, signing)
        # Requests are signed with the real time; everything else goes by the clock that is told.
        storage = VaultStorage(store.url, KEY, SystemClock())
        self.means = Means(control=self.control, keyring=keyring, storage=storage)
        for purpose in PURPOSES:
            keyring.make_pair(self.instance, purpose, self.clock, SystemChance())
        pairs = [keyring.pair(self.instance, purpose) for purpose in PURPOSES]
        storage.account_view(self.instance).ensure()
        self.blobs = storage.container(self.instance)
        self.written = World(
            1, self.blobs, Keys(RecoveryKey(recovery, signing.public), signing, *pairs)
        )
        self.written.instance_id = self.instance
        self.written.lay_ground()

    def a_point(self, number: int, *, listed: bool = False) -> str:
        """A committed point that the catalogue knows only when it is `listed`."""
        point = point_id(number)
        self.written.expires_at = self.clock.now().add(hours=LIFE_HOURS).format_iso()
        manifest = self.written.back_up(small_tree(number), point)
        if listed:
            self._list(point, len(manifest.packs))
        return point

    def _list(self, point: str, packs: int) -> None:
        stored = self.blobs.read(f"p/{point}.manifest")
        with self.database.writing() as connection:
            found = protection.by_id(connection, self.instance)
            now = self.clock.now()
            told = recovery_points.RecoveryPoint(
                id=point,
                instance_id=self.instance,
                job_id=job_of(point),
                kind="Full",
                taken_at=now,
                committed_at=now,
                expires_at=now.add(hours=LIFE_HOURS),
                tag="Daily",
                policy_id=found.policy_id,
                policy_version=1,
                policy_name=found.policy_name,
                generation=point,
                manifest_size=len(stored),
                manifest_blake3=blake3(stored).digest(),
                raw_bytes=1,
                stored_bytes=1,
                facts={"packs": packs},
                state="Completed",
            )
            recovery_points.add(connection, told)

    def a_job(self, number: int, status: JobStatus = JobStatus.FAILED) -> JobId:
        """The backup job of a point, as it ended; it began and ended now."""
        job = job_of(point_id(number))
        with self.database.writing() as connection:
            found = protection.by_id(connection, self.instance)
            asked = {"rule_name": "r", "tag": "", "user_triggered": True, "requested_by": "me"}
            now = self.clock.now()
            jobs.add(connection, job, found, JobKind.BACKUP, now, order={}, **asked)
            if status is not JobStatus.IN_PROGRESS:
                error = StoreUnavailable("the answer was lost").to_dict()
                jobs.end(connection, job, status, now, error=error)
        return job

    def end_job(self, job: JobId, status: JobStatus = JobStatus.COMPLETED) -> None:
        with self.database.writing() as connection:
            jobs.end(connection, job, status, self.clock.now())

    def points(self) -> list[recovery_points.RecoveryPoint]:
        with self.database.reading() as connection:
            return recovery_points.list_of_instance(connection, self.instance)

    def say_immutable(self, state: str) -> None:
        """What the vault's settings say from now on, and its containers with them."""
        settings = {"securitySettings": {"immutabilitySettings": {"state": state}}}
        with self.database.writing() as connection:
            vault = vaults.of_instance(connection, self.instance)
            vaults.change(connection, vault["id"], properties=settings)
        make_immutable(self.means, self.instance)

    def audited(self, action: str) -> list[str]:
        """The targets of an action; the chain is whole."""
        with self.database.reading() as connection:
            assert audit_rows.first_break(connection) is None
            rows = connection.execute(audit.select().order_by(audit.c.sequence))
            return [row.target for row in rows if row.action == action]

    def names(self, prefix: str = "") -> list[str]:
        return [name for name, _ in self.blobs.list(prefix)]

    def remove(self, name: str) -> None:
        """As a thief of the account key, or an accident, would."""
        self.store.azure().get_blob_client(self.instance, name).delete_blob()

    def damage(self, name: str) -> None:
        """Turn a bit of the file on the store's disk."""
        file = self.store.file(self.instance, name)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.chmod(0o600)
        file.write_bytes(data)


def job_of(point: str) -> JobId:
    return JobId("-".join((point[:8], point[8:12], point[12:16], point[16:20], point[20:])))


@contextlib.contextmanager
def care_world(home: Path) -> Iterator[CareWorld]:
    with a_store_world() as store:
        world = CareWorld(home, store)
        try:
            yield world
        finally:
            world.close()
