"""Blobs are read again when they have come, and once: not anew for who asks a moment later."""

from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest
import structlog

import store_world
from seams import FakeClock, SystemChance
from store_world import ACCOUNT, KEY
from strongroom.model.errors import StoreUnavailable
from strongroom.storage.basis.blob import Blob
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store

LARGE = bytes(range(256)) * (8 << 10)  # 2 MiB


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[BlobStore]:
    settings = StoreSettings(root=tmp_path, account=ACCOUNT, account_key=KEY, reserve_bytes=0)
    store = open_store(settings, clock, SystemChance())
    store.create_container("cont", {})
    yield store
    store.close()


def put(store: BlobStore, name: str, data: bytes = LARGE) -> Blob:
    return store_world.put(store, name, data)


def damage(tmp_path: Path, name: str) -> None:
    with (tmp_path / ACCOUNT / "cont" / name).open("r+b") as file:
        file.write(b"x")


def until_looked_at(store: BlobStore, name: str) -> None:
    _, late = wait([*store.looking._under_way.values()], timeout=30)
    assert not late
    assert ("cont", name) in store.looking._found, "nobody has looked at it"


def states(store: BlobStore, *names: str, **since: object) -> list[str]:
    return [found.state for found in store.looking.digests("cont", names, **since)]  # type: ignore[arg-type]


def test_what_was_found_whole_when_it_came_is_not_read_once_more_for_who_asks_first(
    store: BlobStore, tmp_path: Path, clock: FakeClock
) -> None:
    begun = clock.now()
    blob = put(store, "x")
    until_looked_at(store, "x")
    damage(tmp_path, "x")
    (found,) = store.looking.digests("cont", ["x"], begun)
    assert (found.state, found.size, found.blake3) == ("ok", blob.size, blob.blake3)
    assert states(store, "x", since=begun) == ["corrupt"], "a finding is told once"


def test_who_asks_for_now_is_told_what_lies_there_now(
    store: BlobStore, tmp_path: Path, clock: FakeClock
) -> None:
    put(store, "x")
    until_looked_at(store, "x")
    damage(tmp_path, "x")
    assert states(store, "x") == ["corrupt"]


def test_a_look_from_before_is_not_enough(
    store: BlobStore, tmp_path: Path, clock: FakeClock
) -> None:
    put(store, "x")
    until_looked_at(store, "x")
    damage(tmp_path, "x")
    clock.advance(10)
    assert states(store, "x", since=clock.now()) == ["corrupt"]


def test_a_name_that_was_given_anew_is_another_blob(
    store: BlobStore, tmp_path: Path, clock: FakeClock
) -> None:
    begun = clock.now()
    put(store, "x")
    until_looked_at(store, "x")
    store.delete("cont", "x", "admin")
    assert states(store, "x", since=begun) == ["missing"]
    put(store, "y")
    until_looked_at(store, "y")
    store.delete("cont", "y", "admin")
    clock.advance(1)
    put(store, "y", b"small")
    damage(tmp_path, "y")
    assert states(store, "y", since=begun) == ["corrupt"]


def test_who_asks_while_it_is_read_waits_for_that(store: BlobStore, clock: FakeClock) -> None:
    begun = clock.now()
    names = [f"g/{number}" for number in range(12)]
    for name in names:
        put(store, name)
    assert states(store, *names, since=begun) == ["ok"] * 12
    assert not store.looking._found
    assert not store.looking._under_way


def test_what_arrived_damaged_is_told_at_once_and_noted(
    store: BlobStore, tmp_path: Path, clock: FakeClock
) -> None:
    blob = put(store, "x", b"small")
    damage(tmp_path, "x")
    with structlog.testing.capture_logs() as lines:
        store.looking._look_early(blob)
    assert [line["event"] for line in lines] == ["blob_corrupt"]
    assert store.looking.damaged("cont") == ["x"]
    assert states(store, "x", since=clock.now()) == ["corrupt"]


def test_a_store_that_stops_begins_no_look(store: BlobStore, clock: FakeClock) -> None:
    begun = clock.now()
    store.looking.stop()
    put(store, "x")
    assert not store.looking._under_way
    with pytest.raises(StoreUnavailable, match="stopping"):
        store.looking.digests("cont", ["x"], begun)
