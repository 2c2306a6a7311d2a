"""Page versions of a large server lie in parts: who opens the manifest opens each alone."""

import msgspec
import pytest

from seams import FakeClock, SeededChance
from strongroom.datastore.maps import page_parts
from strongroom.datastore.maps.delta import Delta, delta_of, lay_over
from strongroom.datastore.maps.manifest import Manifest, PagePart, PointFacts, Written
from strongroom.datastore.maps.page_parts import (
    PageVersions,
    open_part,
    store_page_versions,
    versions_of,
)
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.model.errors import Corrupt, NotFound
from strongroom.workflows.backup.parents import told_of, told_part
from worlds import PG_MANIFEST, SOURCE, point_id

VERSIONS = {f"base/5/{number}": bytes([number]) * 300 for number in range(40)}


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(page_parts, "INLINE_BYTES", 1000)
    monkeypatch.setattr(page_parts, "PART_BYTES", 2000)


def stored(blobs: MemoryBlobs) -> tuple[dict[str, bytes], list[PagePart]]:
    pair = KeyPair.generate(SeededChance(1))
    return store_page_versions(VERSIONS, blobs, "g1", pair.public, FakeClock(), SeededChance(2))


def manifest_of(parts: list[PagePart]) -> Manifest:
    delta: Delta = delta_of(Written(files=[], extents=NONE, packs=[]), SOURCE, PG_MANIFEST)
    delta.page_parts = parts
    facts = PointFacts(
        recovery_point_id=point_id(1), instance_id="i", job_id="j", taken_at="", committed_at=""
    )
    return lay_over(delta, facts)


NONE = {"file": b"", "offset": b"", "length": b"", "pack": b"", "raw": b""}


def test_a_few_stand_in_the_manifest_itself(blobs):
    assert stored(blobs) == (VERSIONS, [])


def test_many_lie_in_parts_that_the_manifest_opens(blobs, small):
    inline, parts = stored(blobs)
    assert inline == {}
    assert len(parts) == 7
    manifest = manifest_of(parts)
    assert [pack.name for pack in manifest.objects] == [part.name for part in parts]
    assert dict(versions_of(manifest, blobs)) == VERSIONS


def test_an_agent_is_given_the_parts_one_by_one_and_no_key(blobs, small):
    manifest = manifest_of(stored(blobs)[1])
    told = told_of(manifest)
    asked = []

    def fetch(number: int) -> dict[str, bytes]:
        asked.append(number)
        return told_part(manifest, blobs, number).page_versions

    versions = PageVersions(told.page_versions, told.page_parts, fetch)
    assert (len(versions), "base/5/39" in versions, "base/5/40" in versions) == (40, True, False)
    assert {path: versions[path] for path in VERSIONS} == VERSIONS
    assert asked == list(range(7))
    assert all(part.key not in msgspec.msgpack.encode(told) for part in manifest.page_parts)
    with pytest.raises(NotFound):
        told_part(manifest, blobs, 7)


def test_a_part_that_is_not_what_was_written_is_corrupt(blobs, small):
    parts = stored(blobs)[1]
    swapped = msgspec.structs.replace(parts[0], id=parts[1].id)
    with pytest.raises(Corrupt):
        open_part(blobs, swapped)
    renamed = msgspec.structs.replace(parts[0], paths=parts[1].paths)
    with pytest.raises(Corrupt, match="other files"):
        open_part(blobs, renamed)


def test_a_file_whose_versions_lie_in_two_parts_is_corrupt(blobs, small):
    parts = stored(blobs)[1]
    twice = msgspec.structs.replace(parts[0], paths=parts[1].paths)
    with pytest.raises(Corrupt, match="do not fit together"):
        manifest_of([twice, *parts[1:]])
