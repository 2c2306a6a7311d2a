"""Every step of a put and of a delete, with every fault; then reopen: whole or absent."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from blake3 import blake3

from faulty_disk import (
    FAULTS,
    FaultyDisk,
    ForgetfulDisk,
    PowerLoss,
    SteppedDisk,
    SteppedLedger,
)
from seams import FakeClock, SystemChance
from strongroom.model.errors import ObjectExists, ObjectMissing, StoreFull, VaultError
from strongroom.storage.basis.blob import Blob, Facts
from strongroom.storage.basis.layout import Layout, RootLock
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store

NAME = "g/generation/pack.pack"
DATA = bytes(range(256)) * 40
NEIGHBOUR = "g/other/neighbour.pack"


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="crash-"))
    yield path
    shutil.rmtree(path)


def settings(root: Path) -> StoreSettings:
    return StoreSettings(root=root, account="strongroom", account_key=b"k" * 64, reserve_bytes=0)


def reopened(root: Path) -> BlobStore:
    return open_store(settings(root), FakeClock(), SystemChance())


def on(disk: SteppedDisk, root: Path) -> BlobStore:
    """A store whose disk and ledger count their steps together."""
    layout = Layout(root, "strongroom")
    layout.make()
    ledger = SteppedLedger(layout.ledger, disk)
    store = BlobStore(settings(root), FakeClock(), SystemChance(), disk, ledger)
    store.start(RootLock(layout))
    disk.steps.clear()
    return store


def prepare(root: Path, *, with_blob: bool = False) -> None:
    store = reopened(root)
    store.create_container("cont", {})
    put(store, NEIGHBOUR, b"neighbour")
    if with_blob:
        put(store)
    store.close()


def put(store: BlobStore, name: str = NAME, data: bytes = DATA) -> Blob:
    upload = store.begin("cont", name, len(data))
    try:
        half = len(data) // 2
        upload.write([data[:half]])
        upload.write([data[half:]])
        return store.commit(upload, Facts(metadata={"a": "b"}))
    finally:
        upload.abandon()


def put_blocks(store: BlobStore) -> Blob:
    for block_id, data in (("AA==", DATA[:1000]), ("BB==", DATA[1000:])):
        upload = store.begin("cont", NAME, len(data))
        try:
            upload.write([data])
            store.stage(upload, block_id)
        finally:
            upload.abandon()
    return store.commit_blocks("cont", NAME, ["AA==", "BB=="], Facts(), None)


def delete(store: BlobStore) -> Blob:
    return store.delete("cont", NAME, "test")


def bytes_of(store: BlobStore, name: str = NAME) -> bytes | None:
    try:
        blob = store.blob("cont", name)
    except ObjectMissing:
        return None
    with closing(store.open(blob)) as reading:
        return reading.read(blob.size + 1)


def check_whole_or_absent(root: Path) -> bool:
    """Reopen, look everywhere, try again. Answers whether the blob was there."""
    store = reopened(root)
    found = bytes_of(store)
    file = root / "strongroom/cont" / NAME
    assert found in (None, DATA)
    assert file.exists() == (found is not None)
    assert list((root / ".strongroom/incoming").iterdir()) == []
    assert bytes_of(store, NEIGHBOUR) == b"neighbour"
    if found is None:
        put(store)
    else:
        with pytest.raises(ObjectExists):
            put(store)
    assert file.read_bytes() == DATA
    assert store.looking.digests("cont", [NAME])[0].blake3 == blake3(DATA).digest()
    delete(store)
    assert bytes_of(store) is None
    assert not file.exists()
    store.close()
    return found is not None


def count_steps(work: Callable[[BlobStore], object], *, with_blob: bool = False) -> list[str]:
    root = Path(tempfile.mkdtemp(prefix="crash-"))
    try:
        prepare(root, with_blob=with_blob)
        disk = FaultyDisk()
        store = on(disk, root)
        work(store)
        store.close()
        return disk.steps
    finally:
        shutil.rmtree(root)


def run_with_fault(
    root: Path, work: Callable[[BlobStore], object], at: int, fault: str
) -> VaultError | None:
    disk = FaultyDisk(at, fault)
    store = on(disk, root)
    try:
        work(store)
    except VaultError as error:
        return error
    finally:
        store.close()
    return None


def run_and_die(root: Path, work: Callable[[BlobStore], object], at: int, fault: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            work(on(FaultyDisk(at, fault), root))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


WORK = {"put": put, "put blocks": put_blocks, "delete": delete}


def cases(work: str) -> Iterator[tuple[int, str, str]]:
    for number, step in enumerate(count_steps(WORK[work], with_blob=work == "delete"), start=1):
        for fault in FAULTS:
            yield number, step, fault


@pytest.mark.parametrize("work", ["put", "put blocks"])
def test_a_put_that_fails_or_dies_at_any_step_leaves_a_whole_blob_or_none(work: str) -> None:
    tried = 0
    for number, step, fault in cases(work):
        root = Path(tempfile.mkdtemp(prefix="crash-"))
        try:
            prepare(root)
            told: VaultError | str | None = "died"
            if fault.startswith("exit"):
                run_and_die(root, WORK[work], number, fault)
            else:
                told = run_with_fault(root, WORK[work], number, fault)
            found = check_whole_or_absent(root)
            assert found or told is not None, (number, step, fault)
            if fault == "full" and step in ("create", "write"):
                assert isinstance(told, StoreFull)
        finally:
            shutil.rmtree(root)
        tried += 1
    assert tried >= 60


def test_a_delete_that_fails_or_dies_at_any_step_is_finished_or_has_not_begun() -> None:
    for number, step, fault in cases("delete"):
        root = Path(tempfile.mkdtemp(prefix="crash-"))
        try:
            prepare(root, with_blob=True)
            told: VaultError | str | None = "died"
            if fault.startswith("exit"):
                run_and_die(root, delete, number, fault)
            else:
                told = run_with_fault(root, delete, number, fault)
            found = check_whole_or_absent(root)
            assert not found or told is not None, (number, step, fault)
        finally:
            shutil.rmtree(root)


def test_when_the_power_goes_at_any_step_an_answered_put_is_whole_and_others_are_absent() -> None:
    steps = count_steps(put)
    for at in range(1, len(steps) + 2):
        root, attic = (Path(tempfile.mkdtemp(prefix="crash-")) for _ in range(2))
        try:
            prepare(root)
            disk = ForgetfulDisk(at, attic)
            store = on(disk, root)
            answered = True
            try:
                put(store)
            except PowerLoss:
                answered = False
            store.close()
            disk.lose()
            found = check_whole_or_absent(root)
            assert found or not answered
            assert answered == (at > len(steps))
        finally:
            shutil.rmtree(root)
            shutil.rmtree(attic)


def test_a_put_whose_last_steps_fail_is_readable_at_once(root: Path) -> None:
    prepare(root)
    steps = count_steps(put)
    disk = FaultyDisk(steps.index("link") + 1, "before")
    store = on(disk, root)
    with pytest.raises(VaultError):
        put(store)
    assert bytes_of(store) == DATA
    with pytest.raises(ObjectExists):
        put(store)
    delete(store)
    assert bytes_of(store) is None
    store.close()
    assert list((root / ".strongroom/incoming").iterdir()) == []


def test_a_full_disk_takes_nothing_and_still_deletes(root: Path) -> None:
    class Full(FaultyDisk):
        def free(self, path: Path) -> int:
            del path
            return 1000

    prepare(root, with_blob=True)
    store = on(Full(), root)
    with pytest.raises(StoreFull):
        put(store, "another")
    delete(store)
    assert bytes_of(store) is None
    assert list((root / ".strongroom/incoming").iterdir()) == []
    store.close()


def test_what_no_row_names_is_swept_at_start_and_blobs_are_not(root: Path) -> None:
    prepare(root, with_blob=True)
    (root / ".strongroom/incoming/left.part").write_bytes(b"half of somethi")
    store = reopened(root)
    assert list((root / ".strongroom/incoming").iterdir()) == []
    assert bytes_of(store) == DATA
    store.close()
