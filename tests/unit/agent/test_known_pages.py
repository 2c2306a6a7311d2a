"""What lies in a directory is held against the digests of a point: no page is believed wrongly."""

import itertools
import random

import msgspec
import pytest

from seams import FakeClock, SeededChance
from strongroom.agent.restore.known_pages import KnownPages
from strongroom.datastore.keys.session import content_keys
from strongroom.datastore.maps.delta import delta_of, lay_over
from strongroom.datastore.maps.manifest import FileFacts, Manifest, PointFacts
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import ObjectMissing, WrongKey
from strongroom.model.postgres import PAGE
from worlds import PG_MANIFEST, SOURCE, World, micro_world, point_id

FACTS = PointFacts(
    recovery_point_id=point_id(1), instance_id="i", job_id="j", taken_at="", committed_at=""
)
SEEDS = itertools.count(100)


def stored(
    world: World, parent: Manifest | None, pages: dict[int, bytes], size: int, kept: int | None
) -> Manifest:
    """One file: whole, or in part over the parent's."""
    writer = DatastoreWriter(
        world.blobs,
        "1",
        world.keys.data.public,
        FakeClock(),
        SeededChance(next(SEEDS)),
        pack_raw_size=4 * PAGE,
        frame_size=2 * PAGE,
    )
    stream = writer.stream(digests=True)
    facts = FileFacts(path="base/5/1", size=size, mode=0o600, mtime=0, kind="main")
    stream.begin_file(facts, kept=kept)
    for number, page in sorted(pages.items()):
        if kept is not None:
            stream.seek(number * PAGE)
        stream.write(page)
    stream.end_file()
    stream.close()
    return lay_over(delta_of(writer.finish(), SOURCE, PG_MANIFEST), FACTS, parent)


def known(world: World, manifest: Manifest) -> tuple[KnownPages, list[int]]:
    found = KnownPages(manifest, world.blobs, content_keys(world.blobs, manifest, world.keys.data))
    fetched: list[int] = []
    found.read(2, fetched.append)
    return found, fetched


def differing(pages: KnownPages, there: bytes, step: int) -> set[int]:
    """The numbers of the pages that may be others, asked `step` pages at a time."""
    file, found = pages.of_file(0), set()
    for offset in range(0, len(there), step * PAGE):
        marks = file.differing(offset, memoryview(there)[offset : offset + step * PAGE])
        found |= {offset // PAGE + page for page, mark in enumerate(marks) if mark}
    return found


@pytest.mark.parametrize("seed", range(12))
def test_just_the_pages_that_differ_are_told_whatever_came_over_what(seed):
    chance, world = random.Random(seed), micro_world()
    count = chance.randrange(3, 25)
    file = [chance.randbytes(PAGE) for _ in range(count)]
    manifest = stored(world, None, dict(enumerate(file)), count * PAGE, None)
    for _ in range(chance.randrange(6)):
        longer, cut = chance.randrange(1, 4), chance.randrange(count // 2, count + 1)
        file = file[:cut] + [bytes(PAGE)] * longer
        count = len(file)
        over = {n: chance.randbytes(PAGE) for n in chance.sample(range(count), count // 3)}
        for number, page in over.items():
            file[number] = page
        manifest = stored(world, manifest, over, count * PAGE, cut * PAGE)
    there = list(file)
    changed = set(chance.sample(range(count), chance.randrange(count)))
    for number in changed:
        page = bytearray(there[number])
        page[chance.randrange(PAGE)] ^= 1 << chance.randrange(8)
        there[number] = bytes(page)
    pages, fetched = known(world, manifest)
    assert differing(pages, b"".join(there), chance.randrange(1, 9)) == changed
    assert sum(fetched) < 400 * len(manifest.packs)


def test_the_end_of_a_file_that_is_no_whole_page_is_compared_too():
    world, content = micro_world(), random.Random(1).randbytes(PAGE + 10)
    manifest = stored(world, None, {0: content}, len(content), None)
    pages, _ = known(world, manifest)
    assert differing(pages, content, 4) == set()
    assert differing(pages, content[:-1] + b"\0", 4) == {1}


def test_what_was_stored_without_digests_is_never_believed():
    world = micro_world()
    manifest = stored(world, None, {0: bytes(PAGE)}, PAGE, None)
    other = stored(world, None, {0: b"x" * 3 * PAGE}, 3 * PAGE, None)
    rows = {**manifest.extents, "raw": (2 * PAGE).to_bytes(4, "little")}
    beyond = msgspec.structs.replace(manifest, extents=rows)
    assert differing(known(world, beyond)[0], bytes(PAGE), 1) == {0}
    crooked = {**other.extents, "raw": (512).to_bytes(4, "little")}
    crooked["length"] = (2 * PAGE).to_bytes(8, "little")
    pages, _ = known(world, msgspec.structs.replace(other, extents=crooked))
    assert differing(pages, b"x" * 2 * PAGE, 1) == {0, 1}


def test_a_pack_that_is_gone_or_has_no_key_is_told_before_anything_is_compared():
    world = micro_world()
    manifest = stored(world, None, {0: bytes(PAGE)}, PAGE, None)
    with pytest.raises(WrongKey, match="no key was given"):
        KnownPages(manifest, world.blobs, {}).read(2, lambda _: None)
    keys = content_keys(world.blobs, manifest, world.keys.data)
    world.blobs.objects.pop(manifest.packs[0].name)
    with pytest.raises(ObjectMissing):
        KnownPages(manifest, world.blobs, keys).read(2, lambda _: None)
