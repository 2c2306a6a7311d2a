"""D1: a storage endpoint on a small file system of its own that fills up, ledger and all."""

import random
import tempfile
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError

from small_disk import SmallDisk, small_disk
from store_world import StoreWorld, a_store_world

pytestmark = pytest.mark.D1
SIZE = 64 << 20
ROUNDS = 10


def test_what_was_acknowledged_is_there_whole_however_often_the_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path, SIZE, monkeypatch) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with a_store_world() as world:
            fill_again_and_again(world, disk)


def fill_again_and_again(world: StoreWorld, disk: SmallDisk) -> None:
    chance, kept = random.Random(1), dict[str, bytes]()
    container = world.azure().create_container("cont")
    for turn in range(ROUNDS):
        for number in range(chance.randint(1, 4)):
            name, data = f"{turn}-{number}", chance.randbytes(chance.randint(1, 400_000))
            container.upload_blob(name, data)
            kept[name] = data
        disk.fill()
        with pytest.raises(HttpResponseError) as caught:
            container.upload_blob(f"{turn}-late", chance.randbytes(300_000))
        assert caught.value.status_code == 507
        disk.free()
        gone = chance.choice(sorted(kept))
        container.delete_blob(gone)
        del kept[gone]
    assert {blob.name for blob in container.list_blobs()} == kept.keys()
    for name, data in kept.items():
        assert container.download_blob(name).readall() == data
    assert list((world.root / ".strongroom/incoming").iterdir()) == []
