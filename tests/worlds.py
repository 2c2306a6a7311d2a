"""A micro world: a container with one recovery point of a few small files, written in earnest.

Frames of 8 KiB and packs of 64 KiB, so that a handful of files makes several packs of several
frames. Deterministic for a seed: the same clock, the same chance, the same bytes.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from blake3 import blake3

from faults import FaultyBlobs
from oracle.doors import Door, MemoryDoor, laid_out
from oracle.look import Watched
from seams import FakeClock, SeededChance
from strongroom.datastore.keys.keys import RecoveryKey, instance_key_name, seal_instance_key
from strongroom.datastore.maps.delta import delta_of, lay_over, open_delta, seal_delta
from strongroom.datastore.maps.manifest import (
    FORMAT_LINE,
    FORMAT_NAME,
    Contents,
    FileFacts,
    Kind,
    Manifest,
    PointFacts,
    Source,
    Written,
    open_manifest,
    seal_manifest,
)
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Blobs, DirectoryBlobs, MemoryBlobs
from strongroom.datastore.reading.reader import read_files
from strongroom.datastore.reading.verify import scrub
from strongroom.datastore.rescue.rescue import open_point_keys
from strongroom.datastore.statements.receipt import Receipt, ReceiptPack, SigningKey
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import VaultError

FRAME_SIZE = 8192
PACK_RAW_SIZE = 65536
SOURCE = Source(
    version_number=180001,
    system_identifier=7_433_000_000_000_000_001,
    timeline=1,
    start_lsn=0x2000028,
    stop_lsn=0x2000120,
    checksums=True,
    block_size=8192,
    wal_segment_size=16 << 20,
)
PG_MANIFEST = b'{"PostgreSQL-Backup-Manifest-Version": 2, "Files": []}\n'


def noise(seed: int, size: int) -> bytes:
    """Bytes that no compressor makes smaller."""
    return SeededChance(seed).bytes(size)


def small_tree(seed: int = 0) -> dict[str, bytes]:
    """Path -> content: empty, tiny, odd, repetitive, zeros, incompressible, over several packs."""
    return {
        "PG_VERSION": b"18\n",
        "base/1/1234": b"row of a table " * 3000,
        "base/1/1235": noise(seed + 1000, 70_001),
        "base/1/1236": bytes(24_576),
        "base/1/empty": b"",
        "global/pg_control": noise(seed + 2000, 8192),
        "postgresql.conf": b"# nothing here\n" * 11,
    }


@dataclass(frozen=True)
class Keys:
    """All the secrets of one instance."""

    recovery: RecoveryKey
    signing: SigningKey
    catalogue: KeyPair
    data: KeyPair

    @classmethod
    def of(cls, seed: int) -> "Keys":
        chance = SeededChance(seed)
        signing = SigningKey(chance.bytes(32))
        recovery = RecoveryKey(KeyPair.generate(chance), signing.public)
        return cls(recovery, signing, KeyPair.generate(chance), KeyPair.generate(chance))


class World:
    """One instance: its keys, its container, and the steps that make a recovery point."""

    def __init__(
        self, seed: int = 0, blobs: Blobs | None = None, keys: Keys | None = None
    ) -> None:
        self.seed = seed
        self.blobs = MemoryBlobs() if blobs is None else blobs
        self.keys = keys or Keys.of(seed)
        self.clock = FakeClock()
        self.chance = SeededChance(seed + 1_000_000)
        self.instance_id = f"{seed:032x}"
        self.expires_at = "2026-02-01T00:00:00Z"  # of the points to come
        self.contents: Contents | None = None  # of the points to come
        far = datetime(2100, 1, 1, tzinfo=UTC)
        self.holds: set[tuple[str, str]] = set()
        self.locks = {
            "g/": far,
            "p/": far,
        }  # what lies in memory has no ledger: told to the oracle

    def lay_ground(self) -> None:
        """FORMAT and the instance's two keys."""
        self.blobs.create(FORMAT_NAME, FORMAT_LINE)
        for purpose, pair in (("catalogue", self.keys.catalogue), ("data", self.keys.data)):
            sealed = seal_instance_key(
                self.keys.recovery.pair.public, pair, self.instance_id, purpose
            )
            self.blobs.create(instance_key_name(pair.public.key_id), sealed)

    def writer(self, generation: str) -> DatastoreWriter:
        return DatastoreWriter(
            self.blobs,
            generation,
            self.keys.data.public,
            self.clock,
            self.chance,
            pack_raw_size=PACK_RAW_SIZE,
            frame_size=FRAME_SIZE,
        )

    def write(self, tree: Mapping[str, bytes], generation: str, chunk: int = 10_000) -> Written:
        """Packs of a tree; every directory before what lies in it."""
        writer = self.writer(generation)
        try:
            stream = writer.stream(digests=True)
            for path in sorted(
                {p.as_posix() for name in tree for p in Path(name).parents} - {"."}
            ):
                stream.begin_file(_facts(path, 0, "directory"))
                stream.end_file()
            for path, content in tree.items():
                stream.begin_file(_facts(path, len(content), "main"))
                for start in range(0, len(content), chunk):
                    stream.write(content[start : start + chunk])
                stream.end_file()
            stream.close()
            return writer.finish()
        except BaseException:
            writer.abort()
            raise

    def commit(self, written: Written, point: str) -> Manifest:
        """Delta, manifest, receipt: as the control plane does it."""
        name = f"d/{point}.1.delta"
        delta = delta_of(written, SOURCE, PG_MANIFEST)
        self.blobs.create(
            name, seal_delta(delta, self.keys.catalogue.public, self.clock, self.chance)
        )
        found = open_delta(self.blobs.read(name), self.keys.catalogue)
        manifest = lay_over(found, self._point_facts(point))
        manifest.contents = self.contents
        stored = seal_manifest(manifest, self.keys.catalogue.public, self.clock, self.chance)
        self.blobs.create(f"p/{point}.manifest", stored)
        read_back = self.blobs.read(f"p/{point}.manifest")
        assert open_manifest(read_back, self.keys.catalogue).same_content(manifest)
        receipt = self.keys.signing.sign(self.receipt(manifest, stored))
        self.blobs.create(f"p/{point}.receipt", receipt)
        return manifest

    def receipt(self, manifest: Manifest, stored: bytes) -> Receipt:
        """The public statement about a manifest."""
        return Receipt(
            recovery_point_id=manifest.facts.recovery_point_id,
            instance_id=self.instance_id,
            vault="group/vault",
            server="micro",
            taken_at=manifest.facts.taken_at,
            committed_at=manifest.facts.committed_at,
            tag="Daily",
            expires_at=self.expires_at,
            manifest_size=len(stored),
            manifest_blake3=blake3(stored).digest(),
            packs=[
                ReceiptPack(name=p.name, size=p.size, blake3=p.blake3) for p in manifest.objects
            ],
        )

    def back_up(self, tree: Mapping[str, bytes], point: str) -> Manifest:
        """A recovery point of a tree, its generation named like it."""
        return self.commit(self.write(tree, point), point)

    def _point_facts(self, point: str) -> PointFacts:
        return PointFacts(
            recovery_point_id=point,
            instance_id=self.instance_id,
            job_id=f"job-{point[-8:]}",
            taken_at=self.clock.now().format_iso(),
            committed_at=self.clock.now().format_iso(),
        )


def _facts(path: str, size: int, kind: Kind) -> FileFacts:
    return FileFacts(path=path, size=size, mode=0o600, mtime=1_700_000_000, kind=kind)


def point_id(number: int) -> str:
    """32 hex digits."""
    return f"{number:032x}"


def micro_world(seed: int = 0, tree: Mapping[str, bytes] | None = None) -> World:
    """A whole container in memory with one point, `point_id(1)`."""
    world = World(seed)
    world.lay_ground()
    world.back_up(small_tree(seed) if tree is None else tree, point_id(1))
    return world


def memory(world: World) -> dict[str, bytes]:
    """The objects of a world that lies in memory, to be tampered with."""
    blobs = world.blobs.inner if isinstance(world.blobs, FaultyBlobs) else world.blobs
    assert isinstance(blobs, MemoryBlobs)
    return blobs.objects


def watch(world: World, trees: Mapping[str, Mapping[str, bytes]]) -> Watched:
    """A world in memory, for the oracle; `trees` is what each point was made of."""
    recovery = world.keys.recovery
    door = MemoryDoor(memory(world), world.locks, world.holds)
    return Watched(
        containers=lambda: {world.instance_id: door},
        recovery=recovery.to_text(),
        now=lambda: datetime.fromisoformat(world.clock.now().format_iso()),
        scrub=lambda where, point: scrub_names(where, recovery, point),
        reader=lambda where, point: reads(where, recovery, point),
        trees=dict(trees),
        durations={"Daily": "P31D"},
    )


def scrub_names(door: Door, recovery: RecoveryKey, point: str) -> set[str]:
    """What the product's keyless scrub finds damaged in a point."""
    receipt = recovery.verify.check(door.read(f"p/{point}.receipt"))
    with laid_out(door) as container:
        return {finding.name for finding in scrub(receipt, DirectoryBlobs(container))}


def reads(door: Door, recovery: RecoveryKey, point: str) -> bool:
    """Whether the product's reader reads every byte of a point."""
    with laid_out(door) as container, suppress(VaultError):
        manifest, keys = open_point_keys(DirectoryBlobs(container), recovery, point)
        read_files(manifest, DirectoryBlobs(container), keys, lambda *_: None)
        return True
    return False


def tree_of(directory: Path) -> dict[str, bytes]:
    """Path -> content of every file below a directory."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def restore(blobs: Blobs, recovery: RecoveryKey, point: str) -> dict[str, bytes]:
    """What a rescue restores, into memory: path -> content of every file."""
    manifest, keys = open_point_keys(blobs, recovery, point)
    files = [bytearray(file.size) for file in manifest.files]

    def write(index: int, offset: int, data: memoryview) -> None:
        files[index][offset : offset + len(data)] = data

    read_files(manifest, blobs, keys, write)
    return {
        facts.path: bytes(content)
        for facts, content in zip(manifest.files, files, strict=True)
        if facts.kind not in {"directory", "link"}
    }
