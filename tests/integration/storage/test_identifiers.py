"""S1: a SAS of an epoch ends with its identifier, and puts no more bytes than its quota."""

import http.client
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import BlobBlock, ContainerClient

from seams import FakeClock, SystemChance, SystemClock
from store_world import ACCOUNT, KEY, StoreWorld, a_sas, a_store_world
from strongroom.datastore.places.container import Container
from strongroom.model.errors import Forbidden, Invalid, ObjectMissing, StoreError
from strongroom.storage.basis.blob import Facts
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, Upload, open_store
from strongroom.storage.ledger.identifiers import MOST_IDENTIFIERS

EPOCH = "0192-job.1"


@pytest.fixture
def world() -> Iterator[StoreWorld]:
    with a_store_world() as world:
        world.azure().create_container("cont")
        yield world


def account(world: StoreWorld) -> Container:
    return Container(f"{world.url}/cont", KEY, SystemClock())


def writer(world: StoreWorld, identifier: str = EPOCH) -> ContainerClient:
    sas = a_sas("cont", "g/1", "d", "c", identifier=identifier)
    return world.azure_by_sas("cont", sas, max_single_put_size=4096, max_block_size=4096)


def test_the_sas_of_an_epoch_that_has_ended_is_refused_at_once_and_it_is_told(
    world: StoreWorld,
) -> None:
    account(world).give_identifier(EPOCH, 1000)
    client = writer(world)
    client.upload_blob("g/1/a", b"x")
    with structlog.testing.capture_logs() as lines:
        account(world).withdraw_identifier(EPOCH)
        with pytest.raises(ClientAuthenticationError) as caught:
            client.upload_blob("g/1/b", b"x")
    assert (caught.value.status_code, caught.value.error_code) == (403, "AuthenticationFailed")
    assert not world.file("cont", "g/1/b").exists()
    told = [(line["event"], line.get("identifier"), line["caller"]) for line in lines]
    assert told == [
        ("identifier_withdrawn", EPOCH, "account-key"),
        ("request_refused", None, "unknown"),
    ]
    assert EPOCH in lines[1]["reason"]


def test_a_sas_of_another_epoch_of_the_container_lives_on(world: StoreWorld) -> None:
    for epoch in (EPOCH, "other.7"):
        account(world).give_identifier(epoch, 1000)
    account(world).withdraw_identifier(EPOCH)
    writer(world, "other.7").upload_blob("g/1/a", b"x")


def test_an_identifier_counts_in_its_own_container_only(world: StoreWorld) -> None:
    world.azure().create_container("other")
    Container(f"{world.url}/other", KEY, SystemClock()).give_identifier(EPOCH, 1000)
    with pytest.raises(ClientAuthenticationError):
        writer(world).upload_blob("g/1/a", b"x")


def test_an_upload_under_way_when_its_epoch_ends_does_not_become_a_blob(
    world: StoreWorld,
) -> None:
    account(world).give_identifier(EPOCH, 1000)
    sas = a_sas("cont", "g/1", "d", "c", identifier=EPOCH)
    line = http.client.HTTPConnection("127.0.0.1", world.port, timeout=10)
    line.putrequest("PUT", f"/{ACCOUNT}/cont/g/1/late?{sas}")
    line.putheader("x-ms-blob-type", "BlockBlob")
    line.putheader("Content-Length", "10")
    line.endheaders(b"12345")
    deadline = SystemClock().monotonic() + 10
    while world.store.identifiers.of("cont")[0].used == 0:  # the store has not begun to take it
        assert SystemClock().monotonic() < deadline
        SystemClock().sleep(0.005)
    account(world).withdraw_identifier(EPOCH)
    line.send(b"67890")
    answer = line.getresponse()
    assert (answer.status, answer.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
    line.close()
    assert not world.file("cont", "g/1/late").exists()


def test_giving_and_withdrawing_are_safe_twice_and_an_epoch_keeps_its_count(
    world: StoreWorld,
) -> None:
    for _ in range(2):
        account(world).give_identifier(EPOCH, 3)
        writer(world).upload_blob(f"g/1/{os.urandom(4).hex()}", b"x")
    assert world.store.identifiers.of("cont")[0].used == 2
    for _ in range(2):
        account(world).withdraw_identifier(EPOCH)
    assert world.store.identifiers.of("cont") == []


@pytest.mark.parametrize("identifier", ["", "x" * 65, "a\nb"])
def test_an_identifier_that_no_sas_could_name_is_refused(
    world: StoreWorld, identifier: str
) -> None:
    with pytest.raises(StoreError, match="400"):
        account(world).give_identifier(identifier, 1)


@pytest.mark.parametrize("quota", [-1, 1 << 61])
def test_a_quota_that_is_none_is_refused(world: StoreWorld, quota: int) -> None:
    with pytest.raises(StoreError, match="400"):
        account(world).give_identifier(EPOCH, quota)


# --- bytes ---


def test_beyond_its_quota_an_epoch_puts_nothing_more(world: StoreWorld) -> None:
    account(world).give_identifier(EPOCH, 100)
    client = writer(world)
    client.upload_blob("g/1/a", b"x" * 60)
    with pytest.raises(HttpResponseError) as caught:
        client.upload_blob("g/1/b", b"x" * 41)
    assert caught.value.status_code == 403
    assert caught.value.error_code == "InsufficientAccountPermissions"
    assert not world.file("cont", "g/1/b").exists()
    client.upload_blob("g/1/c", b"x" * 40)


def test_blocks_count_when_they_are_put_and_not_again_when_they_are_listed(
    world: StoreWorld,
) -> None:
    account(world).give_identifier(EPOCH, 100)
    client = writer(world)
    never = client.get_blob_client("g/1/never-committed")
    never.stage_block("a", b"x" * 50)
    listed = client.get_blob_client("g/1/listed")
    listed.stage_block("a", b"x" * 50)
    with pytest.raises(HttpResponseError) as caught:
        never.stage_block("b", b"x")
    assert caught.value.error_code == "InsufficientAccountPermissions"
    listed.commit_block_list([BlobBlock("a")])
    assert world.file("cont", "g/1/listed").stat().st_size == 50


def test_writers_side_by_side_put_no_more_than_the_quota_between_them(store: BlobStore) -> None:
    store.identifiers.give("cont", EPOCH, 1000)

    def put(number: int) -> str:
        try:
            _put(store, f"g/1/{number}", b"x" * 100)
        except Forbidden as error:
            return error.code
        return "put"

    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(put, range(24)))
    assert told == ["InsufficientAccountPermissions"] * 14 + ["put"] * 10


# --- crashes ---


def a_store(root: Path) -> BlobStore:
    settings = StoreSettings(root=root, account=ACCOUNT, account_key=KEY, reserve_bytes=0)
    return open_store(settings, FakeClock(), SystemChance())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    store = a_store(tmp_path)
    store.create_container("cont", {})
    yield store
    store.close()


def _begin(store: BlobStore, name: str, size: int) -> Upload:
    return store.begin("cont", name, size, identifier=EPOCH)


def _put(store: BlobStore, name: str, data: bytes) -> None:
    upload = _begin(store, name, len(data))
    try:
        upload.write([data])
        store.commit(upload, Facts())
    finally:
        upload.abandon()


def test_a_process_that_is_killed_has_counted_what_it_began_to_take(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.create_container("cont", {})
    store.identifiers.give("cont", EPOCH, 100)
    child = os.fork()
    if child == 0:
        _begin(store, "g/1/never-committed", 100)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    store.close()
    again = a_store(tmp_path)
    with pytest.raises(Forbidden, match="used up"):
        _begin(again, "g/1/x", 1)
    again.close()


def test_what_was_withdrawn_stays_withdrawn_after_a_restart(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.create_container("cont", {})
    for epoch in (EPOCH, "next.2"):
        store.identifiers.give("cont", epoch, None)
    assert store.identifiers.withdraw("cont", EPOCH)
    store.close()
    again = a_store(tmp_path)
    assert [each.id for each in again.identifiers.of("cont")] == ["next.2"]
    with pytest.raises(Forbidden, match="withdrawn"):
        _begin(again, "g/1/x", 1)
    again.close()


def test_identifiers_go_with_their_container(store: BlobStore) -> None:
    store.identifiers.give("cont", EPOCH, 1)
    store.delete_container("cont")
    with pytest.raises(ObjectMissing):
        store.identifiers.of("cont")
    store.create_container("cont", {})
    assert store.identifiers.of("cont") == []


def test_a_container_has_a_bounded_number_of_identifiers(store: BlobStore) -> None:
    for number in range(MOST_IDENTIFIERS):
        store.identifiers.give("cont", f"{number}", 1)
    store.identifiers.give("cont", "0", 1)
    with pytest.raises(Invalid, match="takes no more"):
        store.identifiers.give("cont", "one too many", 1)


def test_a_ledger_of_the_first_version_learns_the_rest_and_keeps_its_blobs(
    tmp_path: Path,
) -> None:
    store = a_store(tmp_path)
    store.create_container("cont", {})
    store.identifiers.give("cont", EPOCH, None)
    _put(store, "g/1/x", b"x")
    store.close()
    connection = sqlite3.connect(tmp_path / ".strongroom/ledger.sqlite")
    later = (
        *("identifiers", "immutability", "locks", "holds", "clock", "gone", "pulled"),
        *("brought_holds", "native", "native_due", "identity"),
    )
    drops = "".join(f"DROP TABLE {name}; " for name in later)
    drops += "ALTER TABLE blobs DROP COLUMN version;"
    connection.executescript(f"{drops} PRAGMA user_version = 1;")
    connection.close()
    again = a_store(tmp_path)
    assert again.identifiers.of("cont") == []
    assert again.blob("cont", "g/1/x").size == 1
    again.close()
