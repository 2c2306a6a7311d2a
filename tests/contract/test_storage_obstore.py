"""obstore (the Rust object_store), unmodified, against the storage endpoint: key and SAS."""

import os
from collections.abc import Iterator

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError
from obstore.store import AzureStore

from back_end_world import KINDS, back_ends
from store_world import StoreWorld, a_sas, a_store_world

MIB = 1 << 20
LETTERS = "racwdl"


@pytest.fixture(scope="module", params=["disk", *KINDS])
def world(request: pytest.FixtureRequest) -> Iterator[StoreWorld]:
    """Wherever its blobs lie, it answers the same."""
    if request.param == "disk":
        with a_store_world() as world:
            yield world
    else:
        with back_ends(request.param) as places, a_store_world(back_end=places.new()) as world:
            yield world


@pytest.fixture(params=["account key", "container SAS"])
def store(world: StoreWorld, request: pytest.FixtureRequest) -> AzureStore:
    name = f"c-{abs(hash(request.node.name))}"
    world.azure().create_container(name)
    sas = a_sas(name, permissions=LETTERS) if request.param == "container SAS" else None
    return world.obstore(name, sas)


def test_a_single_put_creates_and_never_overwrites(store: AzureStore) -> None:
    obstore.put(store, "g/1/ä +%.pack", b"first", mode="create", use_multipart=False)
    for mode in ("create", "overwrite"):
        with pytest.raises(AlreadyExistsError):
            obstore.put(store, "g/1/ä +%.pack", b"second", mode=mode, use_multipart=False)
    assert bytes(obstore.get(store, "g/1/ä +%.pack").bytes()) == b"first"


def test_a_multipart_put_creates_and_never_overwrites(store: AzureStore) -> None:
    data = os.urandom(9 * MIB)
    obstore.put(store, "big", data, mode="create", chunk_size=MIB, max_concurrency=4)
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "big", data, mode="create", chunk_size=MIB)
    assert bytes(obstore.get(store, "big").bytes()) == data


def test_a_stream_whose_source_dies_leaves_nothing(store: AzureStore) -> None:
    def dying() -> Iterator[bytes]:
        yield b"x" * MIB
        yield b"x" * MIB
        raise RuntimeError("the source died")

    with pytest.raises(Exception, match="the source died"):
        obstore.put(store, "stream", dying(), mode="create", chunk_size=MIB)
    assert [page for page in obstore.list(store) if page] == []


def test_ranges_and_facts(store: AzureStore) -> None:
    data = os.urandom(3 * MIB)
    obstore.put(store, "x", data, mode="create", use_multipart=False)
    assert bytes(obstore.get_range(store, "x", start=5, length=7)) == data[5:12]
    ranges = obstore.get_ranges(store, "x", starts=[0, 2 * MIB], lengths=[10, MIB])
    assert [bytes(each) for each in ranges] == [data[:10], data[2 * MIB :]]
    facts = obstore.head(store, "x")
    assert facts["size"] == 3 * MIB
    assert facts["e_tag"] == obstore.get(store, "x").meta["e_tag"]
    reader = obstore.open_reader(store, "x")
    reader.seek(MIB)
    assert bytes(reader.read(9)) == data[MIB : MIB + 9]


def test_attributes_are_kept(store: AzureStore) -> None:
    attributes = {"Content-Type": "text/x-pack", "kind": "pack"}
    obstore.put(store, "x", b"x", attributes=attributes, mode="create", use_multipart=False)
    assert obstore.get(store, "x").attributes == attributes


def test_listing_and_delimiter_and_offset(store: AzureStore) -> None:
    names = [f"g/{n}/pack" for n in range(5)] + ["p/x", "top"]
    for name in names:
        obstore.put(store, name, b"x", mode="create", use_multipart=False)
    assert [meta["path"] for page in obstore.list(store, chunk_size=2) for meta in page] == names
    offset = [meta["path"] for page in obstore.list(store, offset="g/3/pack") for meta in page]
    assert offset == ["g/4/pack", "p/x", "top"]
    found = obstore.list_with_delimiter(store)
    assert found["common_prefixes"] == ["g", "p"]
    assert [meta["path"] for meta in found["objects"]] == ["top"]


def test_deletes_come_in_batches(store: AzureStore) -> None:
    for name in ("a", "b c+ü", "d"):
        obstore.put(store, name, b"x", mode="create", use_multipart=False)
    obstore.delete(store, "a")
    obstore.delete(store, ["b c+ü", "d"])
    assert [page for page in obstore.list(store) if page] == []
    with pytest.raises(FileNotFoundError):
        obstore.delete(store, "a")
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "a")


def test_a_writers_sas_creates_in_its_directory_and_that_is_all(world: StoreWorld) -> None:
    world.azure().create_container("writers")
    store = world.obstore("writers", a_sas("writers", "g/1", "d", "c"))
    obstore.put(store, "g/1/pack", b"pack", mode="create", use_multipart=False)
    obstore.put(store, "g/1/large", b"x" * 3 * MIB, mode="create", chunk_size=MIB)
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "g/1/pack", b"other")
    for refused in (
        lambda: obstore.put(store, "g/2/pack", b"x", mode="create", use_multipart=False),
        lambda: obstore.get(store, "g/1/pack"),
        lambda: obstore.head(store, "g/1/pack"),
    ):
        with pytest.raises(PermissionDeniedError):
            refused()
    for refused in (
        lambda: obstore.delete(store, "g/1/pack"),
        lambda: list(obstore.list(store, prefix="g/1")),
    ):
        with pytest.raises(Exception, match="AuthenticationFailed"):
            refused()
    found = world.azure().get_blob_client("writers", "g/1/pack").download_blob()
    assert found.readall() == b"pack"
