"""What a release has written, every later one reads: byte for byte, with both readers."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import second_reader
from strongroom.datastore.keys.keys import read_recovery_key
from strongroom.datastore.places.blobs import DirectoryBlobs
from strongroom.datastore.rescue.rescue import list_points, rescue, verify_point
from strongroom.model.errors import Corrupt
from worlds import tree_of

GOLDEN = Path(__file__).parents[2] / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.glob("format-*"))
CASES = [
    (version, point)
    for version in VERSIONS
    for point in json.loads((GOLDEN / version / "sums.json").read_text())
]


def sums_of(directory: Path) -> dict[str, str]:
    tree = tree_of(directory)
    return {path: hashlib.sha256(content).hexdigest() for path, content in tree.items()}


@pytest.mark.parametrize(("version", "point"), CASES)
def test_every_released_version_is_read(version: str, point: str, tmp_path: Path) -> None:
    place = GOLDEN / version
    expected = json.loads((place / "sums.json").read_text())[point]
    blobs, recovery = (
        DirectoryBlobs(place / "container"),
        read_recovery_key(place / "recovery.key"),
    )
    assert verify_point(blobs, recovery, point) == []
    rescue(blobs, recovery, point, tmp_path / "ours")
    assert sums_of(tmp_path / "ours") == expected
    if version == "format-1":
        key = second_reader.RecoveryKey((place / "recovery.key").read_text())
        second_reader.restore(place / "container", key, point, tmp_path / "theirs")
        assert sums_of(tmp_path / "theirs") == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_twin_is_reported_pack_by_pack(version: str, tmp_path: Path) -> None:
    place = GOLDEN / version
    shutil.copytree(place / "container", tmp_path / "twin")
    blobs, recovery = DirectoryBlobs(tmp_path / "twin"), read_recovery_key(place / "recovery.key")
    points = [found.recovery_point_id for found in list_points(blobs, recovery)]
    for pack in sorted((tmp_path / "twin").glob("g/*/*.pack")):
        whole = pack.read_bytes()
        pack.write_bytes(whole[:1500] + bytes([whole[1500] ^ 1]) + whole[1501:])
        name = pack.relative_to(tmp_path / "twin").as_posix()
        found = [f for point in points for f in verify_point(blobs, recovery, point)]
        assert {(f.name, type(f.error)) for f in found} == {(name, Corrupt)}
        pack.write_bytes(whole)
