"""Makes tests/golden/format-1: a container of this version, to be read by every later one.

It was run once, when the version was released. It is kept to tell what lies there, and refuses to
run again: what was made is never made anew.
"""

import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from strongroom.datastore.maps.delta import delta_of, lay_over  # noqa: E402
from strongroom.datastore.maps.manifest import (  # noqa: E402
    FileFacts,
    Manifest,
    PointFacts,
    seal_manifest,
)
from strongroom.datastore.places.blobs import DirectoryBlobs  # noqa: E402
from worlds import PG_MANIFEST, SOURCE, World, noise, point_id  # noqa: E402

GENERATION = "first"
FULL = {
    "PG_VERSION": b"18\n",
    "base/1/whole": noise(1, 20_000),
    "base/1/changed": b"page" * 2048 * 3,
    "base/1/gone": b"will be gone",
    "base/1/zeros": bytes(16_384),
    "base/1/empty": b"",
    "global/pg_control": noise(2, 8192),
}
PAGE = 8192


def sums(tree: dict[str, bytes]) -> dict[str, str]:
    """Path -> SHA-256."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in sorted(tree.items())}


def facts(point: str) -> PointFacts:
    return PointFacts(
        recovery_point_id=point,
        instance_id=f"{1:032x}",
        job_id="00000000-0000-4000-8000-000000000001",
        taken_at="2026-01-01T00:00:00Z",
        committed_at="2026-01-01T00:01:00Z",
    )


def commit(world: World, manifest: Manifest) -> None:
    """Manifest, then receipt."""
    stored = seal_manifest(manifest, world.keys.catalogue.public, world.clock, world.chance)
    point = manifest.facts.recovery_point_id
    world.blobs.create(f"p/{point}.manifest", stored)
    receipt = world.keys.signing.sign(world.receipt(manifest, stored))
    world.blobs.create(f"p/{point}.receipt", receipt)


def increment(world: World) -> tuple[Manifest, dict[str, bytes]]:
    """One page changed, one file longer by a page that reads as zeros, one gone, one new."""
    writer = world.writer(GENERATION)
    stream = writer.stream()
    changed = FileFacts(path="base/1/changed", size=5 * PAGE, mode=0o600, mtime=1, kind="main")
    stream.begin_file(changed, kept=3 * PAGE)
    stream.seek(PAGE)
    stream.write(noise(3, PAGE))
    stream.seek(4 * PAGE)
    stream.write(noise(4, PAGE))
    stream.end_file()
    stream.begin_file(FileFacts(path="base/1/new", size=9, mode=0o600, mtime=1, kind="other"))
    stream.write(b"brand new")
    stream.end_file()
    stream.close()
    parent = lay_over(
        delta_of(world.write(FULL, GENERATION), SOURCE, PG_MANIFEST), facts(point_id(1))
    )
    commit(world, parent)
    delta = delta_of(writer.finish(), SOURCE, PG_MANIFEST, ["base/1/gone"])
    page = b"page" * 2048
    tree = {path: content for path, content in FULL.items() if path != "base/1/gone"}
    tree["base/1/changed"] = page + noise(3, PAGE) + page + bytes(PAGE) + noise(4, PAGE)
    tree["base/1/new"] = b"brand new"
    return lay_over(delta, facts(point_id(2)), parent), tree


def main() -> None:
    """Container, recovery key, and the SHA-256 of every file of both points."""
    place = HERE / "format-1"
    if place.exists():
        raise SystemExit(f"{place} is there, and stays as it is")
    world = World(1, DirectoryBlobs(place / "container"))
    world.lay_ground()
    manifest, newer = increment(world)
    commit(world, manifest)
    (place / "recovery.key").write_text(world.keys.recovery.to_text())
    told = {point_id(1): sums(FULL), point_id(2): sums(newer)}
    (place / "sums.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
