"""What every container promises, tried on each: in memory, as a directory, at the endpoint."""

import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from seams import SystemClock
from store_world import KEY, KEY_TEXT, StoreWorld, a_sas, a_store_world
from strongroom.datastore.places.blobs import AzureBlobs, Blobs, DirectoryBlobs, MemoryBlobs
from strongroom.datastore.places.container import BlobDigest, Container
from strongroom.model.errors import (
    Corrupt,
    LeaseLost,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreFull,
    StoreQuotaReached,
    StoreUnavailable,
)

NAME = "g/1/0192.pack"


@pytest.fixture(scope="module")
def world() -> Iterator[StoreWorld]:
    with a_store_world() as world:
        yield world


@pytest.fixture
def container(world: StoreWorld, request: pytest.FixtureRequest) -> str:
    name = f"c-{abs(hash(request.node.name))}"
    Container(f"{world.url}/{name}", KEY, SystemClock()).ensure()
    return name


@pytest.fixture(params=["memory", "directory", "account key", "sas"])
def blobs(
    request: pytest.FixtureRequest, world: StoreWorld, container: str, tmp_path: Path
) -> Blobs:
    url = f"{world.url}/{container}"
    match request.param:
        case "memory":
            return MemoryBlobs()
        case "directory":
            return DirectoryBlobs(tmp_path)
        case "account key":
            return AzureBlobs(url, account_key=KEY_TEXT)
        case _:
            return AzureBlobs(url, sas=lambda: a_sas(container, permissions="crl"))


def test_what_was_created_is_read(blobs: Blobs) -> None:
    data = bytes(range(256)) * 5000
    blobs.create(NAME, memoryview(data))
    assert blobs.read(NAME) == data
    assert blobs.size(NAME) == len(data)


def test_an_empty_object_is_an_object(blobs: Blobs) -> None:
    blobs.create(NAME, b"")
    assert (blobs.read(NAME), blobs.size(NAME), blobs.read_range(NAME, 0, 9)) == (b"", 0, b"")


def test_a_name_is_given_once(blobs: Blobs) -> None:
    blobs.create(NAME, b"first")
    with pytest.raises(ObjectExists):
        blobs.create(NAME, b"second")
    assert blobs.read(NAME) == b"first"


def test_of_racing_writers_one_wins(blobs: Blobs) -> None:
    won: list[bytes] = []
    lost: list[ObjectExists] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        data = bytes([number]) * 1000
        start.wait()
        try:
            blobs.create(NAME, data)
            won.append(data)
        except ObjectExists as error:
            lost.append(error)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert blobs.read(NAME) == won[0]


def test_a_missing_object_is_said_to_be_missing(blobs: Blobs) -> None:
    for ask in (blobs.read, blobs.size, lambda name: blobs.read_range(name, 0, 1)):
        with pytest.raises(ObjectMissing, match="not in storage"):
            ask("g/1/none")


@pytest.mark.parametrize(
    ("start", "length"), [(0, 10), (3, 4), (5, 100), (9, 1), (10, 1), (50, 5), (0, 0)]
)
def test_a_range_is_short_only_where_the_object_ends(
    blobs: Blobs, start: int, length: int
) -> None:
    blobs.create(NAME, b"0123456789")
    assert blobs.read_range(NAME, start, length) == b"0123456789"[start : start + length]


def test_a_folder_is_listed_in_the_order_of_names(blobs: Blobs) -> None:
    for name in ("p/b.manifest", "FORMAT", "p/a.receipt", "p2/c", "g/1/x.pack"):
        blobs.create(name, name.encode())
    assert list(blobs.list("p/")) == [("p/a.receipt", 11), ("p/b.manifest", 12)]
    names = ["FORMAT", "g/1/x.pack", "p/a.receipt", "p/b.manifest", "p2/c"]
    assert [name for name, _ in blobs.list("")] == names
    assert list(blobs.list("none/")) == []


def test_a_writers_sas_creates_in_its_generation_and_that_is_all(
    world: StoreWorld, container: str
) -> None:
    blobs = AzureBlobs(f"{world.url}/{container}", sas=lambda: a_sas(container, "g/1", "d", "c"))
    blobs.create(NAME, b"x")
    for refused in (
        lambda: blobs.create("g/2/x.pack", b"x"),
        lambda: blobs.create("p/x.receipt", b"x"),
        lambda: blobs.read(NAME),
        lambda: list(blobs.list("g/1/")),
    ):
        with pytest.raises(StoreDenied):
            refused()


def test_a_renewed_sas_is_used_at_once_and_never_told(world: StoreWorld, container: str) -> None:
    sas = [a_sas(container, minutes=-5)]
    blobs = AzureBlobs(f"{world.url}/{container}", sas=lambda: sas[-1])
    with pytest.raises(StoreDenied) as denied:
        blobs.create(NAME, b"x")
    assert "sig=" not in "".join(traceback.format_exception(denied.value))
    sas.append(a_sas(container))
    blobs.create(NAME, b"x")


def test_why_there_is_no_sas_is_told_as_it_is(world: StoreWorld, container: str) -> None:
    def lost() -> str:
        raise LeaseLost("the lease has ended")

    blobs = AzureBlobs(f"{world.url}/{container}", sas=lost)
    with pytest.raises(LeaseLost):
        blobs.create(NAME, b"x")


def test_a_blob_that_the_endpoint_finds_damaged_is_corrupt_not_an_outage(
    world: StoreWorld, container: str
) -> None:
    blobs = AzureBlobs(f"{world.url}/{container}", account_key=KEY_TEXT)
    blobs.create(NAME, b"0123456789")
    world.file(container, NAME).write_bytes(b"0123")
    with pytest.raises(Corrupt, match=NAME):
        blobs.read(NAME)


def test_an_endpoint_without_room_is_full_and_one_that_is_gone_unavailable() -> None:
    with a_store_world(reserve_bytes=1 << 60) as full:
        Container(f"{full.url}/con", KEY, SystemClock()).ensure()
        blobs = AzureBlobs(f"{full.url}/con", account_key=KEY_TEXT)
        with pytest.raises(StoreFull):
            blobs.create(NAME, b"x" * 1000)
    with pytest.raises(StoreUnavailable):
        blobs.create(NAME, b"x")
    with pytest.raises(StoreUnavailable):
        Container(f"{full.url}/con", KEY, SystemClock()).ensure()


def test_the_endpoint_reads_again_and_says_what_it_found(
    world: StoreWorld, container: str
) -> None:
    from blake3 import blake3

    blobs = AzureBlobs(f"{world.url}/{container}", account_key=KEY_TEXT)
    names = [f"g/1/{number:03}.pack" for number in range(250)]
    for name in names[:249]:
        blobs.create(name, name.encode())
    world.file(container, names[7]).write_bytes(b"g/1/008.pack")
    found = list(Container(f"{world.url}/{container}", KEY, SystemClock()).digests(names))
    assert [digest.name for digest in found] == names
    assert found[0] == BlobDigest(names[0], 12, blake3(names[0].encode()).digest())
    assert [digest.name for digest in found if digest.corrupt] == [names[7]]
    assert [digest.name for digest in found if digest.missing] == [names[249]]


def test_the_endpoint_need_not_read_again_what_it_has_read_since_it_came(
    world: StoreWorld, container: str
) -> None:
    began = SystemClock().now()
    data = bytes(2 << 20)
    AzureBlobs(f"{world.url}/{container}", account_key=KEY_TEXT).create(NAME, data)
    account = Container(f"{world.url}/{container}", KEY, SystemClock())
    # It is asked at once, and waits for the look that has begun: that makes the finding known.
    assert [found.size for found in account.digests([NAME, "x"], began)] == [len(data), -1]
    world.file(container, NAME).write_bytes(b"other")
    (found,) = account.digests([NAME], began)
    assert found.corrupt, "a finding is told once"


def test_another_account_key_is_denied(world: StoreWorld, container: str) -> None:
    with pytest.raises(StoreDenied):
        Container(f"{world.url}/{container}", bytes(64), SystemClock()).ensure()


def test_beyond_its_quota_a_writer_is_told_so_with_a_next_step(
    world: StoreWorld, container: str
) -> None:
    account = Container(f"{world.url}/{container}", KEY, SystemClock())
    account.give_identifier("job.1", 100)
    url = f"{world.url}/{container}"
    blobs = AzureBlobs(url, sas=lambda: a_sas(container, "g/1", "d", "c", identifier="job.1"))
    blobs.create(NAME, b"x" * 100)
    with pytest.raises(StoreQuotaReached) as reached:
        blobs.create("g/1/more.pack", b"x")
    assert "quota follows its size" in reached.value.hint
    account.withdraw_identifier("job.1")
    with pytest.raises(StoreDenied, match="AuthenticationFailed"):
        blobs.create("g/1/more.pack", b"x")


def test_withdrawing_from_a_container_that_is_gone_is_no_failure(world: StoreWorld) -> None:
    Container(f"{world.url}/gone", KEY, SystemClock()).withdraw_identifier("job.1")
