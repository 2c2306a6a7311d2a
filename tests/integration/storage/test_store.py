"""What the store promises besides surviving crashes: one winner, truth about its bytes, limits."""

import errno
import http.client
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest
import structlog
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import ContainerClient
from blake3 import blake3

from faulty_disk import FaultyDisk
from seams import FakeClock, SystemChance
from store_world import ACCOUNT, KEY, StoreWorld, a_sas, a_store_world, put
from strongroom.model.errors import Conflict, Corrupt, Invalid, ObjectExists, StoreFull, VaultError
from strongroom.model.identities.sas import sign
from strongroom.storage.basis.blob import Facts
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[BlobStore]:
    settings = StoreSettings(
        root=tmp_path,
        account=ACCOUNT,
        account_key=KEY,
        reserve_bytes=0,
        max_blocks=3,
        max_blob_bytes=1000,
        staged_seconds=60,
    )
    store = open_store(settings, clock, SystemChance())
    store.create_container("cont", {})
    yield store
    store.close()


def stage(store: BlobStore, name: str, block_id: str, data: bytes) -> None:
    upload = store.begin("cont", name, len(data))
    try:
        upload.write([data])
        store.stage(upload, block_id)
    finally:
        upload.abandon()


def file(tmp_path: Path, name: str) -> Path:
    return tmp_path / ACCOUNT / "cont" / name


def incoming(tmp_path: Path) -> list[Path]:
    return list((tmp_path / ".strongroom/incoming").iterdir())


def test_of_sixteen_writers_of_one_name_one_wins_and_its_bytes_are_there(
    store: BlobStore, tmp_path: Path
) -> None:
    for turn in range(10):
        barrier = threading.Barrier(16)
        uploads = [store.begin("cont", f"g/{turn}", 100) for _ in range(16)]

        def write(number: int, uploads: list = uploads, barrier: threading.Barrier = barrier):
            upload = uploads[number]
            upload.write([bytes([number]) * 100])
            barrier.wait()
            try:
                return store.commit(upload, Facts())
            except ObjectExists:
                return None
            finally:
                upload.abandon()

        with ThreadPoolExecutor(16) as pool:
            winners = [blob for blob in pool.map(write, range(16)) if blob]
        assert len(winners) == 1
        data = file(tmp_path, f"g/{turn}").read_bytes()
        assert winners[0].blake3 == blake3(data).digest()
        assert len(set(data)) == 1
    assert incoming(tmp_path) == []


def test_sixteen_clients_race_over_http_and_one_wins() -> None:
    with a_store_world() as world:
        world.azure().create_container("cont")
        clients = [world.azure().get_container_client("cont") for _ in range(16)]

        def write(client: ContainerClient) -> bool:
            try:
                client.upload_blob("x", os.urandom(300_000), overwrite=True)
            except ResourceExistsError:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(write, clients)) == 1


def test_putting_and_deleting_neighbours_at_once_loses_no_directory(
    store: BlobStore, tmp_path: Path
) -> None:
    def come_and_go(number: int) -> None:
        for turn in range(20):
            name = f"g/shared/{number}/{turn}"
            put(store, name, b"x")
            store.delete("cont", name, "test")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))
    assert list((tmp_path / ACCOUNT / "cont").iterdir()) == []


def test_a_name_cannot_be_a_blob_and_a_directory(store: BlobStore) -> None:
    put(store, "a/b", b"x")
    for name in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(Conflict, match="directory"):
            put(store, name, b"x")
    put(store, "a-b", b"x")
    put(store, "a0", b"x")


def test_a_foreign_file_in_the_way_is_told_and_left_alone(
    store: BlobStore, tmp_path: Path
) -> None:
    file(tmp_path, "g").mkdir(parents=True)
    file(tmp_path, "g/x").write_bytes(b"foreign")
    with pytest.raises(Conflict, match="did not write"):
        put(store, "g/x", b"x")
    with pytest.raises(Conflict, match="did not write"):
        put(store, "g/x/y", b"x")
    assert file(tmp_path, "g/x").read_bytes() == b"foreign"
    put(store, "g/y", b"x")


def test_scrub_visits_whom_it_has_not_seen_for_the_longest_and_names_what_changed(
    store: BlobStore, tmp_path: Path, clock: FakeClock
) -> None:
    for name in ("a", "b", "c", "d"):
        put(store, name, name.encode() * 100)
    first = store.looking.scrub(2)
    clock.advance(10)
    second = store.looking.scrub(2)
    assert {finding.name for finding in first + second} == {"a", "b", "c", "d"}
    assert {finding.state for finding in first + second} == {"ok"}
    clock.advance(10)
    flipped = bytearray(file(tmp_path, "a").read_bytes())
    flipped[50] ^= 1
    file(tmp_path, "a").write_bytes(flipped)
    file(tmp_path, "b").write_bytes(b"short")
    file(tmp_path, "c").unlink()
    with structlog.testing.capture_logs() as lines:
        states = {finding.name: finding.state for finding in store.looking.scrub(10)}
    assert states == {"a": "corrupt", "b": "corrupt", "c": "corrupt", "d": "ok"}
    assert sorted(line["name"] for line in lines) == ["a", "b", "c"]
    for name in ("b", "c"):
        with pytest.raises(Corrupt):
            store.open(store.blob("cont", name))


def test_blocks_are_bounded_in_number_size_and_time(
    store: BlobStore, tmp_path: Path, clock: FakeClock
) -> None:
    for block_id in ("AA==", "BB==", "CC=="):
        stage(store, "x", block_id, b"x" * 100)
    with pytest.raises(Invalid, match="too many"):
        stage(store, "x", "DD==", b"x")
    with pytest.raises(Invalid, match="too large"):
        stage(store, "x", "AA==", b"x" * 900)
    with pytest.raises(Invalid, match="too large"):
        store.commit_blocks("cont", "x", ["AA=="] * 11, Facts(), None)
    clock.advance(61)
    stage(store, "y", "AA==", b"x")
    with pytest.raises(Invalid, match="never put"):
        store.commit_blocks("cont", "x", ["AA=="], Facts(), None)
    assert len(incoming(tmp_path)) == 1


def test_a_ledger_of_a_later_version_is_refused(tmp_path: Path) -> None:
    import sqlite3

    settings = StoreSettings(root=tmp_path, account=ACCOUNT, account_key=KEY)
    open_store(settings, FakeClock(), SystemChance()).close()
    connection = sqlite3.connect(tmp_path / ".strongroom/ledger.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Invalid, match="version 99"):
        open_store(settings, FakeClock(), SystemChance())


def test_a_blob_whose_bytes_vanished_before_they_were_linked_stays_named(tmp_path: Path) -> None:
    settings = StoreSettings(root=tmp_path, account=ACCOUNT, account_key=KEY, reserve_bytes=0)
    disk = FaultyDisk()
    store = open_store(settings, FakeClock(), SystemChance(), disk)
    store.create_container("cont", {})
    disk.steps.clear()
    disk.at, disk.fault = 5, "before"  # create, write, fsync, fsync_dir, then the first directory
    with pytest.raises(VaultError):
        put(store, "x", b"x")
    store.close()
    shutil.rmtree(tmp_path / ".strongroom/incoming")
    store = open_store(settings, FakeClock(), SystemChance())
    assert store.looking.digests("cont", ["x"])[0].state == "corrupt"
    store.close()


# --- over HTTP ---


def ask_digests(world: StoreWorld, body: bytes) -> tuple[int, dict]:
    path = f"/{ACCOUNT}/cont"
    date = formatdate(usegmt=True)
    resource = f"/{ACCOUNT}{path}\ncomp:digests\nrestype:container"
    length = len(body) or ""
    standard = f"POST\n\n\n{length}\n\napplication/json\n\n\n\n\n\n\n"
    text = f"{standard}x-ms-date:{date}\n{resource}"
    connection = http.client.HTTPConnection("127.0.0.1", world.port)
    headers = {
        "x-ms-date": date,
        "Content-Type": "application/json",
        "Authorization": f"SharedKey {ACCOUNT}:{sign(KEY, text)}",
    }
    try:
        connection.request("POST", f"{path}?restype=container&comp=digests", body, headers)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if answer.status == 200 else {}
    finally:
        connection.close()


def test_digests_are_of_the_bytes_that_are_there_now() -> None:
    with a_store_world() as world:
        container = world.azure().create_container("cont")
        for name in ("g/1/a", "g/1/b", "g/1/c"):
            container.upload_blob(name, name.encode() * 1000)
        world.file("cont", "g/1/b").write_bytes(b"other")
        world.file("cont", "g/1/c").unlink()
        names = ["g/1/a", "g/1/b", "g/1/c", "g/1/d"]
        status, reply = ask_digests(world, json.dumps({"names": names}).encode())
        assert status == 200
        assert reply["digests"] == [
            {"name": "g/1/a", "size": 5000, "blake3": blake3(b"g/1/a" * 1000).hexdigest()},
            {"name": "g/1/b", "corrupt": True, "size": 5, "blake3": blake3(b"other").hexdigest()},
            {"name": "g/1/c", "corrupt": True},
            {"name": "g/1/d", "missing": True},
        ]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"names": 1}', b'{"names": ["../x"]}', b'{"names": [], "more": 1}']
)
def test_digests_refuses_what_it_cannot_read(body: bytes) -> None:
    with a_store_world() as world:
        world.azure().create_container("cont")
        assert ask_digests(world, body)[0] == 400


class SmallDisk(Disk):
    """Says that it has `room` left; or has it, and is full when written to."""

    room = 1 << 40
    full = False

    def free(self, path: Path) -> int:
        del path
        return self.room

    def write(self, handle: int, pieces: Sequence[bytes]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left on device")
        super().write(handle, pieces)


@pytest.mark.D1
def test_a_full_disk_answers_507_leaves_nothing_and_still_deletes() -> None:
    disk = SmallDisk()
    with a_store_world(disk, reserve_bytes=1000) as world:
        container = world.azure().create_container("cont")
        container.upload_blob("old", b"x" * 500)
        for room, full in ((1400, False), (1 << 40, True)):
            disk.room, disk.full = room, full
            with pytest.raises(HttpResponseError) as caught:
                container.upload_blob("new", b"x" * 500)
            assert (caught.value.status_code, caught.value.error_code) == (
                507,
                "InsufficientStorage",
            )
        assert list((world.root / ".strongroom/incoming").iterdir()) == []
        container.delete_blob("old")
        disk.full = False
        container.upload_blob("new", b"x" * 500)


def test_creates_and_deletes_are_told_with_who_and_what() -> None:
    with a_store_world() as world, structlog.testing.capture_logs() as lines:
        world.azure().create_container("cont")
        world.azure_by_sas("cont", a_sas("cont", "g/1", "d", "c")).upload_blob("g/1/x", b"x")
        world.azure_by_sas("cont", a_sas("cont", permissions="d")).delete_blob("g/1/x")
    told = [(line["event"], line["caller"], line.get("size")) for line in lines]
    assert told == [
        ("container_created", "account-key", None),
        ("blob_created", "sas sp=c /cont/g/1", 1),
        ("blob_deleted", "sas sp=d /cont", 1),
    ]
    assert lines[1]["blake3"] == blake3(b"x").hexdigest()


@pytest.mark.D1
def test_a_store_that_is_full_by_the_ledger_says_so(store: BlobStore) -> None:
    store._ledger._writer.execute("PRAGMA max_page_count = 12")
    with pytest.raises(StoreFull):
        _put_many(store)


def _put_many(store: BlobStore) -> None:
    for number in range(200):
        put(store, f"x/{number}-{'y' * 200}", b"x")
