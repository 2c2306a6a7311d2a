"""The page docs/format.md is enough: a reader that knows nothing else restores the same tree."""

import ast
import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

import second_reader
from strongroom.datastore.maps import page_parts
from strongroom.datastore.maps.manifest import seal_manifest
from strongroom.datastore.rescue.rescue import open_point_keys
from worlds import World, memory, micro_world, noise, point_id, restore, small_tree, tree_of

POINT = point_id(1)


def laid_out(objects: Mapping[str, bytes], directory: Path) -> Path:
    """A container as plain files."""
    for name, stored in objects.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(stored)
    return directory


def read_again(world: World, place: Path) -> dict[str, bytes]:
    """What the second reader restores of POINT."""
    container = laid_out(memory(world), place / "container")
    recovery = second_reader.RecoveryKey(world.keys.recovery.to_text())
    second_reader.restore(container, recovery, POINT, place / "restored")
    return tree_of(place / "restored")


def test_it_imports_nothing_of_strongroom() -> None:
    source = Path(second_reader.__file__).read_text()
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    allowed = {"zstandard", "blake3", "cryptography"} | sys.stdlib_module_names
    assert {name.split(".")[0] for name in names} <= allowed
    assert len(source.splitlines()) < 400


def test_both_readers_open_the_parts_of_page_versions(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(page_parts, "INLINE_BYTES", 0)
    monkeypatch.setattr(page_parts, "PART_BYTES", 100)
    world = micro_world(0)
    public = world.keys.catalogue.public
    versions = {f"base/5/{number}": bytes([number]) * 60 for number in range(5)}
    known, _ = open_point_keys(world.blobs, world.keys.recovery, POINT)
    inline, parts = page_parts.store_page_versions(
        versions, world.blobs, POINT, public, world.clock, world.chance
    )
    manifest = msgspec.structs.replace(known, page_versions=inline, page_parts=parts)
    stored = seal_manifest(manifest, public, world.clock, world.chance)
    memory(world)[f"p/{POINT}.manifest"] = stored
    memory(world)[f"p/{POINT}.receipt"] = world.keys.signing.sign(world.receipt(manifest, stored))
    ours, _ = open_point_keys(world.blobs, world.keys.recovery, POINT)
    assert dict(page_parts.versions_of(ours, world.blobs)) == versions
    container = laid_out(memory(world), tmp_path / "container")
    recovery = second_reader.RecoveryKey(world.keys.recovery.to_text())
    theirs = second_reader.restore(container, recovery, POINT, tmp_path / "restored")
    keys = second_reader.instance_keys(container, recovery)
    assert second_reader.page_versions(container, theirs, keys) == versions


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_readers_restore_the_same_tree(seed: int, tmp_path: Path) -> None:
    world = micro_world(seed)
    found = read_again(world, tmp_path)
    assert found == small_tree(seed)
    assert found == restore(world.blobs, world.keys.recovery, POINT)


def test_it_reads_a_point_of_many_files(tmp_path: Path) -> None:
    """Lengths below and above 15, 31, 255 and 65535: each width that msgpack has for them."""
    tree = {f"{n:03}/a{'long' * (n % 60)}": noise(n, n * 77 % 9001) for n in range(400)}
    assert read_again(micro_world(tree=tree), tmp_path) == tree


def test_it_runs_by_itself_with_container_and_key(tmp_path: Path) -> None:
    world = micro_world()
    container = laid_out(memory(world), tmp_path / "container")
    key = tmp_path / "recovery.key"
    key.write_text(world.keys.recovery.to_text())
    run = [sys.executable, "-I", second_reader.__file__, str(container), str(key)]
    listed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert POINT in listed
    subprocess.run([*run, POINT, str(tmp_path / "restored")], check=True)
    assert tree_of(tmp_path / "restored") == small_tree()


def test_it_refuses_what_is_not_what_was_written(tmp_path: Path) -> None:
    world = micro_world()
    name = next(name for name in memory(world) if name.endswith(".pack"))
    stored = bytearray(memory(world)[name])
    stored[len(stored) // 2] ^= 1
    memory(world)[name] = bytes(stored)
    with pytest.raises(second_reader.Unreadable):
        read_again(world, tmp_path)


def test_it_opens_nothing_with_another_recovery_key(tmp_path: Path) -> None:
    container = laid_out(memory(micro_world()), tmp_path)
    other = second_reader.RecoveryKey(World(5).keys.recovery.to_text())
    with pytest.raises(InvalidTag):
        second_reader.instance_keys(container, other)


ANY: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(ANY)
def test_its_msgpack_is_msgpack(value: object) -> None:
    assert second_reader.unpack(msgspec.msgpack.encode(value)) == value


def test_an_auditor_needs_the_receipt_and_no_key() -> None:
    world = micro_world()
    objects = memory(world)
    told = json.loads(objects[f"p/{POINT}.receipt"])["body"]
    assert {pack["name"] for pack in told["packs"]} == {n for n in objects if n.startswith("g/")}
    for pack in told["packs"]:
        stored = objects[pack["name"]]
        assert len(stored) == pack["size"]
        assert blake3(stored).digest() == base64.b64decode(pack["blake3"])
