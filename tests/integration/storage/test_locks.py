"""What is locked or held is not deleted, whoever asks and whatever the host's clock says."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from whenever import Instant

from seams import FakeClock, SystemChance, SystemClock
from store_world import ACCOUNT, KEY, StoreWorld, a_store_world
from strongroom.datastore.places import container
from strongroom.datastore.places.container import Container
from strongroom.model.errors import Invalid, Locked, ObjectMissing
from strongroom.storage.basis.blob import Facts
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.ledger.locks import MOST_DAYS, Immutability

DAY = 86_400
PACK = "g/1/a.pack"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock("2026-01-01T00:00:00Z")


def opened(root: Path, clock: FakeClock, *, accept_clock: bool = False) -> BlobStore:
    settings = StoreSettings(
        root=root, account=ACCOUNT, account_key=KEY, reserve_bytes=0, accept_clock=accept_clock
    )
    return open_store(settings, clock, SystemChance())


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[BlobStore]:
    store = opened(tmp_path, clock)
    store.create_container("cont", {})
    yield store
    store.close()


def put(store: BlobStore, name: str, until: Instant | None = None) -> None:
    if until is not None:
        store.locks.extend("cont", [name], until)
    upload = store.begin("cont", name, 1)
    try:
        upload.write([b"x"])
        store.commit(upload, Facts())
    finally:
        upload.abandon()


def delete(store: BlobStore, name: str) -> None:
    store.delete("cont", name, "the account key")


def until(days: int) -> Instant:
    return Instant.parse_iso("2026-01-01T00:00:00Z").add(hours=24 * days)


@pytest.mark.parametrize("state", ["Unlocked", "Locked"])
def test_a_locked_generation_keeps_each_of_its_packs_until_then(store, clock, state):
    store.locks.set_immutability("cont", Immutability(state))
    put(store, PACK)
    store.locks.extend("cont", ["g/1/"], until(10))
    put(store, "g/1/later.pack")
    put(store, "g/10/other.pack")
    delete(store, "g/10/other.pack")
    for day in range(10):
        for name in (PACK, "g/1/later.pack"):
            with pytest.raises(Locked, match="locked until 2026-01-11"):
                delete(store, name)
        assert store.blob("cont", PACK).size == 1, day
        clock.advance(DAY)
    delete(store, PACK)
    with pytest.raises(ObjectMissing):
        store.blob("cont", PACK)


def test_a_lock_is_extended_and_never_shortened_by_extending(store):
    store.locks.extend("cont", ["g/1/"], until(10))
    assert store.locks.extend("cont", ["g/1/"], until(5))[0].until == until(10)
    assert store.locks.extend("cont", ["g/1/"], until(20))[0].until == until(20)
    assert store.locks.of("cont", PACK).until == until(20)
    assert store.locks.of("cont", "g/11/a.pack").until is None


def test_where_immutability_is_disabled_locks_are_only_written_down(store):
    put(store, PACK, until(10))
    delete(store, PACK)
    put(store, "g/1/b.pack")
    store.locks.extend("cont", ["g/1/"], until(10))
    store.locks.set_immutability("cont", Immutability("Unlocked"))
    with pytest.raises(Locked):
        delete(store, "g/1/b.pack")


def test_an_unlocked_lock_may_be_released_and_immutability_disabled(store):
    store.locks.set_immutability("cont", Immutability("Unlocked", 14))
    put(store, PACK, until(100))
    store.locks.release("cont", PACK)
    with pytest.raises(Locked, match="2026-01-15"):
        delete(store, PACK)
    store.locks.set_immutability("cont", Immutability("Disabled"))
    delete(store, PACK)


def test_what_is_locked_once_is_locked_for_ever(store):
    store.locks.set_immutability("cont", Immutability("Locked", 14))
    store.locks.extend("cont", ["g/1/"], until(10))
    less = [Immutability("Disabled", 14), Immutability("Unlocked", 14), Immutability("Locked", 13)]
    for wanted in less:
        with pytest.raises(Locked):
            store.locks.set_immutability("cont", wanted)
    with pytest.raises(Locked):
        store.locks.release("cont", "g/1/")
    assert store.locks.immutability("cont") == Immutability("Locked", 14)
    assert store.locks.of("cont", "g/1/").until == until(10)
    store.locks.set_immutability("cont", Immutability("Locked", 15))


def test_a_new_blob_is_kept_for_the_days_of_its_container(store, clock):
    store.locks.set_immutability("cont", Immutability("Unlocked", 14))
    put(store, PACK)
    clock.advance(14 * DAY - 1)
    with pytest.raises(Locked):
        delete(store, PACK)
    clock.advance(1)
    delete(store, PACK)


def test_a_hold_binds_in_every_state_until_the_last_of_them_is_lifted(store, clock):
    put(store, PACK)
    for case in ("case-7", "case-8", "case-8"):
        store.locks.hold("cont", "g/1/", case)
    assert store.locks.of("cont", PACK).holds == ("case-7", "case-8")
    clock.advance(10_000 * DAY)
    for case in ("case-7", "case-8"):
        with pytest.raises(Locked, match="legal hold"):
            delete(store, PACK)
        store.locks.lift("cont", "g/1/", case)
        store.locks.lift("cont", "g/1/", case)
    delete(store, PACK)


def test_a_hosts_clock_that_jumps_ends_no_lock(store, clock):
    store.locks.set_immutability("cont", Immutability("Locked"))
    put(store, PACK, until(10))
    clock.set("2036-01-01T00:00:00Z")
    assert store.locks.clock.is_suspect
    with pytest.raises(Locked):
        delete(store, PACK)
    clock.advance(10 * DAY)  # ten true days later
    delete(store, PACK)


def test_a_clock_that_goes_back_keeps_a_lock_for_longer(store, clock):
    store.locks.set_immutability("cont", Immutability("Locked"))
    put(store, PACK, until(10))
    clock.advance(9 * DAY)
    clock.set("2026-01-02T00:00:00Z")
    clock.advance(8 * DAY)
    with pytest.raises(Locked):
        delete(store, PACK)


@pytest.mark.parametrize(("days", "accept", "ends"), [(6, False, True), (40, False, False)])
def test_a_standstill_is_believed_for_a_week(tmp_path, clock, days, accept, ends):
    assert ended_after_a_standstill(tmp_path, clock, days, accept=accept) is ends


def test_a_person_may_say_that_the_clock_is_right(tmp_path, clock):
    assert ended_after_a_standstill(tmp_path, clock, 40, accept=True)
    again = opened(tmp_path, clock)
    assert not again.locks.clock.is_suspect
    again.close()


def ended_after_a_standstill(root: Path, clock: FakeClock, days: int, *, accept: bool) -> bool:
    """Whether a lock of five days can be passed after so many days at rest."""
    store = opened(root, clock)
    store.create_container("cont", {})
    store.locks.set_immutability("cont", Immutability("Locked"))
    put(store, PACK, until(5))
    store.close()
    later = FakeClock(until(days).format_iso())
    store = opened(root, later, accept_clock=accept)
    clock.set(until(days).format_iso())
    try:
        delete(store, PACK)
    except Locked:
        return False
    finally:
        store.close()
    return True


@pytest.mark.parametrize("name", ["", "/", "g//", "../x", "g/1/\n"])
def test_a_name_that_no_blob_can_have_is_refused(store, name):
    with pytest.raises(Invalid):
        store.locks.extend("cont", [name], until(1))
    with pytest.raises(Invalid):
        store.locks.hold("cont", name, "case-7")


def test_days_beyond_a_century_are_refused(store):
    with pytest.raises(Invalid):
        store.locks.set_immutability("cont", Immutability("Unlocked", MOST_DAYS + 1))


@pytest.fixture
def world() -> Iterator[StoreWorld]:
    with a_store_world() as world:
        world.azure().create_container("cont")
        yield world


def account(world: StoreWorld) -> Container:
    return Container(f"{world.url}/cont", KEY, SystemClock())


def test_the_account_key_itself_cannot_delete_what_is_locked(world):
    view = account(world)
    tomorrow = SystemClock().now().add(hours=24).round("second")
    assert view.set_immutability(container.Immutability("Locked", 14)).state == "Locked"
    client = world.azure().get_container_client("cont")
    client.upload_blob(PACK, b"x")
    assert view.extend_locks(["g/1/"], tomorrow)[0].until == tomorrow.format_iso()
    with pytest.raises(HttpResponseError) as caught:
        client.delete_blob(PACK)
    assert (caught.value.status_code, caught.value.error_code) == (409, "BlobImmutableDueToPolicy")
    assert view.delete(PACK) is False
    with pytest.raises(Locked):
        view.set_immutability(container.Immutability("Disabled"))
    with pytest.raises(Locked):
        view.release_lock("g/1/")
    assert world.file("cont", PACK).read_bytes() == b"x"


def test_azures_client_sees_the_lock_and_the_hold(world):
    view = account(world)
    view.set_immutability(container.Immutability("Unlocked", 14))
    client = world.azure().get_container_client("cont").get_blob_client(PACK)
    client.upload_blob(b"x")
    assert view.hold("g/", "case-7").holds == ["case-7"]
    found = client.get_blob_properties()
    assert found.has_legal_hold
    assert found.immutability_policy.policy_mode == "unlocked"
    assert found.immutability_policy.expiry_time == found.creation_time + timedelta(days=14)
    assert view.lift_hold("g/", "case-7").holds == []
    assert not client.get_blob_properties().has_legal_hold
