"""S1: what the control plane hands out for an epoch ends with the epoch, at a real store."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from seams import FakeClock, SystemChance, SystemClock
from store_world import KEY, StoreWorld, a_store_world
from strongroom.catalog.basis.database import Database
from strongroom.catalog.resources import servers
from strongroom.catalog.tables.tables import metadata, resource_groups
from strongroom.catalog.work import agent_operations, epochs
from strongroom.catalog.work import agents as agent_rows
from strongroom.control.basis.control import Control, OwnStorage
from strongroom.control.work import agents
from strongroom.control.work.epochs import QUOTA_BYTES, give_access, withdraw_ended
from strongroom.datastore.places.blobs import AzureBlobs
from strongroom.durable.engine import JobEngine
from strongroom.model.errors import (
    SourceStopped,
    StoreDenied,
    StoreQuotaReached,
    StoreUnavailable,
)
from strongroom.model.ids import AgentId
from strongroom.model.installation import Installation
from strongroom.model.work.operation import (
    BackupOrder,
    BackupResult,
    Completion,
    Failure,
    Heartbeat,
    Lease,
    LeaseRequest,
    Progress,
    RestoreOrder,
    ServerFacts,
    StorageAccess,
)
from strongroom.workflows.basis.vault_storage import VaultStorage
from strongroom.workflows.care.sweeps import Sweeps

AGENT = AgentId("agent-1")
INSTANCE = "0192-instance"
SIZE = 5 << 30
RESULT = BackupResult(
    delta_size=1,
    delta_blake3=b"x" * 32,
    raw_bytes=1,
    stored_bytes=1,
    files=1,
    packs=1,
    start_lsn="0/1",
    stop_lsn="0/2",
    timeline=1,
    version_number=180001,
    system_identifier="1",
)


class Site:
    """A control plane's decisions over a catalogue, and a real store that can go away."""

    def __init__(self, directory: Path, store: StoreWorld) -> None:
        self.store = store
        self.clock = FakeClock()
        # The store lives in real time, and so must whoever signs for it.
        self.storage = VaultStorage(store.url, KEY, SystemClock())
        self.database = Database(f"sqlite:///{directory / 'catalogue.sqlite'}")
        metadata.create_all(self.database.engine)
        self.away = False
        self.control = Control(
            database=self.database,
            jobs=JobEngine(self.database.url, executor_id="test"),
            clock=self.clock,
            chance=SystemChance(),
            installation=Installation(
                tenant_id="t",
                subscription_id="s",
                location="local",
                resource_group="g",
                public_url="https://localhost:1",
                portal_url="http://127.0.0.1:2",
            ),
            release_keys=lambda *asked: b"",
            grant_access=self.storage.grant,
            give_identifier=lambda *asked: self._there().give_identifier(*asked),
            withdraw_identifier=lambda *asked: self._there().withdraw_identifier(*asked),
            own_storage=OwnStorage(self.storage.account_url, self.storage.sign_files),
        )
        self.storage.account_view(INSTANCE).ensure()
        self._rows()

    def _there(self) -> VaultStorage:
        if self.away:  # nobody listens on the discard port
            return VaultStorage("http://127.0.0.1:9/strongroom", KEY, self.clock)
        return self.storage

    def _rows(self) -> None:
        now = self.clock.now()
        agent = {"id": AGENT, "name": "db", "token_hash": "h", "version": "1"}
        group = {"name_key": "rg", "name": "rg", "location": "local", "tags": {}}
        server = {"id": "s-1", "name": "orders", "name_key": "orders", "location": "local"}
        with self.database.writing() as connection:
            agent_rows.add(connection, {**agent, "enrolled_at": now, "seen_at": now})
            connection.execute(resource_groups.insert().values(**group, created_at=now))
            row = {**server, "resource_group_key": "rg", "agent_id": AGENT, "tags": {}}
            row |= {"facts": {}}
            servers.add(connection, {**row, "agent_server": "orders", "created_at": now})

    def call(self, session: str = "first", size: int = SIZE) -> Lease | None:
        facts = ServerFacts(name="orders", ready=True, size_bytes=size)
        agents.note_call(self.control, AGENT, LeaseRequest(servers=[facts], session=session))
        return agents.lease_operation(self.control, AGENT, session)

    def lease(self, session: str = "first", size: int = SIZE) -> Lease:
        lease = self.call(session, size)
        assert lease is not None
        return lease

    def offer(self, kind: str = "backup", name: str = "op") -> None:
        keys = dict.fromkeys(("catalogue_key_id", "data_key_id"), b"k")
        keys |= dict.fromkeys(("catalogue_public_key", "data_public_key"), b"p")
        point = {"job_id": name, "recovery_point_id": "rp", "instance_id": INSTANCE}
        order: Any = BackupOrder(server="orders", generation=name, delta_name="", **point, **keys)
        if kind == "restore":
            order = RestoreOrder(manifest_name="p/rp.manifest", target_directory="/x", **point)
        row = {"id": name, "job_id": None, "agent_id": AGENT, "kind": kind}
        row |= {"order": msgspec.to_builtins(order), "created_at": self.clock.now()}
        with self.database.writing() as connection:
            agent_operations.offer(connection, row)

    def identifiers(self) -> list[str]:
        return [each.id for each in self.store.store.identifiers.of(INSTANCE)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with a_store_world() as store:
        site = Site(tmp_path, store)
        yield site
        site.control.jobs.close()
        site.database.close()


def packs(access: StorageAccess | None) -> AzureBlobs:
    assert access is not None
    return AzureBlobs(access.container_url, sas=lambda: access.sas["packs"])


def refused(access: StorageAccess | None) -> bool:
    try:
        packs(access).create("g/op/stolen.pack", b"x")
    except StoreDenied as error:
        return "AuthenticationFailed" in error.message
    return False


def failure(lease: Lease) -> Failure:
    return Failure(
        epoch=lease.epoch, error=SourceStopped("it went away").to_dict(), retryable=True
    )


def test_a_sas_is_refused_when_its_epoch_has_completed(site: Site) -> None:
    site.offer()
    lease = site.lease()
    packs(lease.access).create("g/op/a.pack", b"x")
    done = Completion(epoch=lease.epoch, backup=RESULT)
    agents.complete_operation(site.control, AGENT, "op", done)
    assert refused(lease.access)
    assert site.identifiers() == []


def test_a_sas_is_refused_when_its_epoch_has_failed_and_the_next_epoch_has_its_own(
    site: Site,
) -> None:
    site.offer()
    first = site.lease()
    agents.fail_operation(site.control, AGENT, "op", failure(first))
    assert refused(first.access)
    second = site.lease()
    packs(second.access).create("g/op/b.pack", b"x")
    assert refused(first.access)
    last = Failure(epoch=second.epoch, error=StoreDenied("no").to_dict(), retryable=False)
    agents.fail_operation(site.control, AGENT, "op", last)
    assert refused(second.access)


def test_a_sas_is_refused_when_its_lease_was_lost_and_leased_again(site: Site) -> None:
    site.offer()
    first = site.lease()
    site.clock.sleep(61)
    assert not refused(first.access)  # nobody else has it yet: it may still beat
    second = site.lease()
    assert second.epoch == first.epoch + 1
    assert refused(first.access)
    assert site.identifiers() == ["op.2"]


def test_a_sas_of_an_agents_earlier_process_is_refused(site: Site) -> None:
    site.offer()
    first = site.lease("first")
    second = site.lease("second")
    assert refused(first.access)
    packs(second.access).create("g/op/b.pack", b"x")


def test_a_sas_is_refused_at_the_next_sweep_when_its_operation_was_ended_from_outside(
    site: Site,
) -> None:
    site.offer()
    lease = site.lease()
    with site.database.writing() as connection:
        agent_operations.end(connection, "op", "cancelled")
    Sweeps(site.control, "test").tick()
    assert refused(lease.access)


@pytest.mark.parametrize("second", [False, True])
def test_what_opens_a_container_for_files_ends_with_its_job(site: Site, *, second: bool) -> None:
    """Wherever what is restored is read from."""
    url = f"{site.storage.account_url}/for-files"
    order = {"instanceId": INSTANCE, "targetUrl": url, "second": second}
    row = {"id": "op", "job_id": None, "agent_id": AGENT, "kind": "extract", "order": order}
    with site.database.writing() as connection:
        agent_operations.offer(connection, {**row, "created_at": site.clock.now()})
        waiting = agent_operations.next_waiting(connection, AGENT, site.clock.now())
    assert waiting is not None
    give_access(site.control, AGENT, waiting, 1)  # there is no container yet: the agent finds out
    site.storage.account_view("for-files").ensure()
    give_access(site.control, AGENT, waiting, 1)
    files = AzureBlobs(url, sas=lambda: site.storage.sign_files("for-files", "op.1"))
    files.create("dump.sql", b"x")
    with site.database.writing() as connection:
        agent_rows.begin_session(connection, AGENT, "first")
        now = site.clock.now()
        agent_operations.lease(connection, AGENT, "first", now, now.add(seconds=60))
        agent_operations.end(connection, "op", "cancelled")
    withdraw_ended(site.control)
    with pytest.raises(StoreDenied, match="AuthenticationFailed"):
        files.create("more.sql", b"x")
    assert site.identifiers() == []


def test_a_heartbeat_renews_the_sas_of_its_epoch_without_asking_the_store(site: Site) -> None:
    site.offer()
    lease = site.lease()
    site.away = True
    beat = Heartbeat(epoch=lease.epoch, progress=Progress(step="Reading"))
    renewed = agents.heartbeat(site.control, AGENT, "op", beat).access
    packs(renewed).create("g/op/a.pack", b"x")
    site.away = False
    agents.fail_operation(site.control, AGENT, "op", failure(lease))
    assert refused(renewed)


def test_what_could_not_be_withdrawn_is_withdrawn_when_the_store_is_back(site: Site) -> None:
    site.offer()
    lease = site.lease()
    site.away = True
    agents.fail_operation(site.control, AGENT, "op", failure(lease))
    assert site.identifiers() == ["op.1"]
    site.away = False
    withdraw_ended(site.control)
    assert refused(lease.access)
    with site.database.reading() as connection:
        assert epochs.to_withdraw(connection) == []


def test_no_lease_is_given_and_none_is_used_up_while_the_store_is_away(site: Site) -> None:
    site.offer()
    site.away = True
    with pytest.raises(StoreUnavailable):
        site.call()
    site.away = False
    assert site.lease().epoch == 1


def test_a_backup_may_put_three_times_its_servers_size_and_ten_gib(site: Site) -> None:
    site.offer()
    site.lease()
    site.offer("restore", "restore")
    site.lease()
    found = {each.id: each.quota for each in site.store.store.identifiers.of(INSTANCE)}
    assert found == {"op.1": 3 * SIZE + QUOTA_BYTES, "restore.1": 0}


def test_an_epoch_that_has_used_up_its_quota_says_so_and_is_not_tried_again(site: Site) -> None:
    site.offer()
    lease = site.lease(size=0)
    store = site.store.store
    store.identifiers.charge(INSTANCE, "op.1", QUOTA_BYTES - 10)
    packs(lease.access).create("g/op/a.pack", b"x" * 10)
    with pytest.raises(StoreQuotaReached) as reached:
        packs(lease.access).create("g/op/b.pack", b"x")
    assert "quota follows its size" in reached.value.hint
    assert reached.value.retry.value == "never"


def test_one_operations_end_leaves_the_others_of_its_container_alone(site: Site) -> None:
    site.offer(name="op")
    ended = site.lease()
    site.offer("restore", "restore")
    reading = site.lease()
    packs(ended.access).create("g/op/a.pack", b"bytes")
    agents.fail_operation(site.control, AGENT, "op", failure(ended))
    access = reading.access
    assert access is not None
    blobs = AzureBlobs(access.container_url, sas=lambda: access.sas["read"])
    assert hashlib.sha256(blobs.read("g/op/a.pack")).digest() == hashlib.sha256(b"bytes").digest()


def test_calls_of_one_agent_side_by_side_each_get_access_that_works(site: Site) -> None:
    for number in range(6):
        site.offer(name=f"op{number}")
    site.lease()
    with ThreadPoolExecutor(5) as pool:
        calls = [
            pool.submit(agents.lease_operation, site.control, AGENT, "first") for _ in range(5)
        ]
    leases = [lease for call in calls if (lease := call.result()) is not None]
    while (lease := agents.lease_operation(site.control, AGENT, "first")) is not None:
        leases.append(lease)
    assert sorted(each.operation_id for each in leases) == [f"op{n}" for n in range(1, 6)]
    for lease in leases:
        packs(lease.access).create(f"g/{lease.operation_id}/a.pack", b"x")
