"""An increment over its parent is the tree that it should be, and needs the parent no more."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.datastore.maps.delta import Delta, delta_of, lay_over
from strongroom.datastore.maps.manifest import FileFacts, Manifest, PointFacts, seal_manifest
from strongroom.model.errors import Corrupt
from worlds import PG_MANIFEST, SOURCE, World, noise, point_id, restore

PAGE = 8192
KEYS = World().keys
FIRST, SECOND = point_id(1), point_id(2)
NAMES = ["a", "b", "c", "d"]


@dataclass(frozen=True)
class Change:
    """What an increment says of one file: pages by number, of a file `size` pages long."""

    size: int
    kept: int | None  # pages; None: the file comes whole
    pages: tuple[int, ...]


def change() -> st.SearchStrategy[Change]:
    def build(size: int, kept: int | None, pages: set[int]) -> Change:
        return Change(size, kept, tuple(sorted(page for page in pages if page < size)))

    return st.builds(
        build, st.integers(0, 20), st.none() | st.integers(0, 24), st.sets(st.integers(0, 19))
    )


def facts(point: str) -> PointFacts:
    return PointFacts(
        recovery_point_id=point, instance_id="i", job_id="j", taken_at="", committed_at=""
    )


def increment(world: World, changes: dict[str, Change], gone: list[str], generation: str) -> Delta:
    """Written in earnest: pages are noise that is told from every other page."""
    writer = world.writer(generation)
    stream = writer.stream()
    for number, (path, what) in enumerate(changes.items()):
        size = what.size * PAGE
        told = FileFacts(path=path, size=size, mode=0o600, mtime=0, kind="main")
        if what.kept is None:
            stream.begin_file(told)
            stream.write(noise(number, size))
        else:
            stream.begin_file(told, kept=what.kept * PAGE)
            for page in what.pages:
                stream.seek(page * PAGE)
                stream.write(noise(1000 * number + page, PAGE))
        stream.end_file()
    stream.close()
    return delta_of(writer.finish(), SOURCE, PG_MANIFEST, gone)


def expected(older: bytes, number: int, what: Change) -> bytes:
    """The same by hand, on plain bytes."""
    size = what.size * PAGE
    if what.kept is None:
        return noise(number, size)
    content = bytearray(older[: what.kept * PAGE].ljust(size, b"\0")[:size])
    for page in what.pages:
        content[page * PAGE : (page + 1) * PAGE] = noise(1000 * number + page, PAGE)
    return bytes(content)


def tree_of_manifest(world: World, manifest: Manifest) -> dict[str, bytes]:
    """Restored by way of its sealed form, vouched for as the newest point."""
    stored = seal_manifest(manifest, KEYS.catalogue.public, world.clock, world.chance)
    point = manifest.facts.recovery_point_id
    world.blobs.create(f"p/{point}.manifest", stored)
    world.blobs.create(f"p/{point}.receipt", KEYS.signing.sign(world.receipt(manifest, stored)))
    return restore(world.blobs, KEYS.recovery, point)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_increment_over_any_parent(data: st.DataObject) -> None:
    sizes = data.draw(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 20 * PAGE)))
    older = {path: noise(500 + n, size) for n, (path, size) in enumerate(sizes.items())}
    gone = data.draw(st.lists(st.sampled_from(sorted(older)), unique=True)) if older else []
    changes = data.draw(
        st.dictionaries(st.sampled_from([name for name in NAMES if name not in gone]), change())
        if len(gone) < len(NAMES)
        else st.just({})
    )
    changes = {path: what for path, what in changes.items() if path in older or what.kept is None}
    world = World(keys=KEYS)
    world.lay_ground()
    parent = lay_over(delta_of(world.write(older, FIRST), SOURCE, PG_MANIFEST), facts(FIRST))
    manifest = lay_over(increment(world, changes, gone, SECOND), facts(SECOND), parent)
    numbered = enumerate(changes.items())
    wanted = {path: content for path, content in older.items() if path not in gone}
    wanted |= {path: expected(older.get(path, b""), n, what) for n, (path, what) in numbered}
    assert tree_of_manifest(world, manifest) == wanted
    used = {extent.pack for extent in manifest.all_extents()}
    assert used == set(range(len(manifest.packs))), "a pack is named that nothing leans on"


def test_a_part_of_a_file_that_the_parent_lacks_is_refused() -> None:
    world = World(keys=KEYS)
    parent = lay_over(delta_of(world.write({"a": b"a"}, FIRST), SOURCE, PG_MANIFEST), facts(FIRST))
    delta = increment(world, {"b": Change(2, 1, (1,))}, [], SECOND)
    with pytest.raises(Corrupt, match="b"):
        lay_over(delta, facts(SECOND), parent)


def test_an_increment_without_a_parent_is_refused() -> None:
    delta = increment(World(keys=KEYS), {"a": Change(2, 2, (0,))}, [], SECOND)
    with pytest.raises(Corrupt, match="parent"):
        lay_over(delta, facts(SECOND))


def test_a_file_that_is_named_and_gone_is_refused() -> None:
    world = World(keys=KEYS)
    parent = lay_over(delta_of(world.write({"a": b"a"}, FIRST), SOURCE, PG_MANIFEST), facts(FIRST))
    delta = increment(world, {"a": Change(1, None, ())}, ["a"], SECOND)
    with pytest.raises(Corrupt, match="gone"):
        lay_over(delta, facts(SECOND), parent)
