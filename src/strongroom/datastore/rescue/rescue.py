"""Restore with storage and the recovery key alone: no service, no catalogue, no network.

A manifest without a valid receipt is quarantined: shown as such, never restored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from blake3 import blake3

from strongroom.datastore.keys.keys import RecoveryKey, instance_key_name, open_instance_key
from strongroom.datastore.keys.session import content_keys
from strongroom.datastore.maps.manifest import FORMAT_LINE, FORMAT_NAME, Manifest, open_manifest
from strongroom.datastore.packs.pack import HEADER_SIZE, MANIFEST, PACK, read_header
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.reader import read_files
from strongroom.datastore.reading.verify import (
    DAMAGE,
    Finding,
    Progress,
    verify_manifest,
    verify_packs,
)
from strongroom.datastore.rescue.plain_target import PlainTarget
from strongroom.datastore.statements.receipt import Receipt
from strongroom.model.errors import Corrupt, Invalid, NotFound, ObjectMissing
from strongroom.model.postgres import major_of
from strongroom.model.work.logical import GLOBALS, LOGICAL, PARAMETERS


@dataclass(frozen=True, slots=True)
class Found:
    """A recovery point in storage. `problem` says why it is quarantined."""

    recovery_point_id: str
    receipt: Receipt | None
    problem: str = ""


def list_points(blobs: Blobs, recovery: RecoveryKey) -> list[Found]:
    """Every point in a container, newest last; those that cannot be restored say why.

    An outage is raised, it quarantines nothing.
    """
    check_format(blobs)
    names = [name.removeprefix("p/").rpartition(".") for name, _ in blobs.list("p/")]
    points = {point for point, _, kind in names if kind in {"manifest", "receipt"}}
    found = [_look(blobs, recovery, point) for point in sorted(points)]
    return sorted(found, key=lambda f: f.receipt.taken_at if f.receipt else "")


def _look(blobs: Blobs, recovery: RecoveryKey, point: str) -> Found:
    try:
        return Found(point, _vouched(blobs, recovery, point)[0])
    except DAMAGE as error:
        return Found(point, None, f"quarantined: {error.message}")


def check_format(blobs: Blobs) -> None:
    """Another version is refused by name. A copy that lacks the object is judged by its packs."""
    try:
        line = blobs.read(FORMAT_NAME)
    except ObjectMissing:
        return
    if line != FORMAT_LINE:
        told = line[:40].decode(errors="replace").strip()
        raise Invalid(
            f"this container is {told!r}, we read {FORMAT_LINE.decode().strip()!r}",
            hint="use the strongroom that wrote it, or a newer one",
        )


def _vouched(blobs: Blobs, recovery: RecoveryKey, point: str) -> tuple[Receipt, bytes]:
    """A receipt that this vault signed, and the very bytes of the manifest it vouches for."""
    receipt = recovery.verify.check(blobs.read(f"p/{point}.receipt"))
    stored = blobs.read(f"p/{point}.manifest")
    if receipt.recovery_point_id != point or blake3(stored).digest() != receipt.manifest_blake3:
        raise Corrupt("the receipt vouches for another manifest")
    return receipt, stored


def open_point(blobs: Blobs, recovery: RecoveryKey, point: str) -> tuple[Manifest, KeyPair]:
    """A committed point's manifest, and the pair that opens its first pack (or, with none, it)."""
    manifest, pair = _open_manifest(blobs, recovery, point)
    if not manifest.packs:
        return manifest, pair
    header = read_header(blobs.read_range(manifest.packs[0].name, 0, HEADER_SIZE), PACK)
    return manifest, _pair(blobs, recovery, header.key_id)


def open_point_keys(
    blobs: Blobs, recovery: RecoveryKey, point: str
) -> tuple[Manifest, dict[bytes, bytes]]:
    """A committed point's manifest, and the content key of each of its packs."""
    manifest, _ = _open_manifest(blobs, recovery, point)
    return manifest, content_keys(blobs, manifest, partial(_pair, blobs, recovery))


def _open_manifest(blobs: Blobs, recovery: RecoveryKey, point: str) -> tuple[Manifest, KeyPair]:
    check_format(blobs)
    receipt, stored = _vouched(blobs, recovery, point)
    pair = _pair(blobs, recovery, read_header(stored, MANIFEST).key_id)
    manifest = open_manifest(stored, pair)
    verify_manifest(manifest, receipt)
    return manifest, pair


def verify_point(
    blobs: Blobs, recovery: RecoveryKey, point: str, on_progress: Progress | None = None
) -> list[Finding]:
    """Read every byte of a point with the recovery key; what is wrong, object by object."""
    try:
        manifest, keys = open_point_keys(blobs, recovery, point)
    except DAMAGE as error:
        return [Finding(f"p/{point}.manifest", error)]
    return verify_packs(manifest, blobs, keys, on_progress=on_progress)


def _pair(blobs: Blobs, recovery: RecoveryKey, key_id: bytes) -> KeyPair:
    """From the object for this very recovery key, else from that for the first one."""
    for later in (recovery.pair.public.key_id, None):
        try:
            sealed = blobs.read(instance_key_name(key_id, later))
        except ObjectMissing:
            continue
        return KeyPair.from_bytes(open_instance_key(recovery.pair, key_id, sealed).secret)
    raise NotFound(
        f"the instance's key {key_id.hex()} is not in this container",
        hint="its k/ folder must hold it; look in the second copy, or it was shredded",
    )


def rescue(
    blobs: Blobs,
    recovery: RecoveryKey,
    point: str,
    directory: Path,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    tablespaces: Mapping[str, Path] | None = None,
) -> Manifest:
    """Write a recovery point as a data directory that PostgreSQL can be started on; a logical one

    as its dumps, a file a database.

    `tablespaces`: where one lay -> where it goes; else `<directory>.tablespaces/<oid>`. All of
    them, and `directory`, are new or empty. `on_progress(raw bytes, fetched bytes)`. Raises
    StoreError (Corrupt among them), TargetError, NotFound, Invalid.
    """
    manifest, keys = open_point_keys(blobs, recovery, point)
    target = PlainTarget(directory, manifest.files, tablespaces or {})
    target.prepare()
    read_files(manifest, blobs, keys, target.write, hole=lambda *_: None, on_progress=on_progress)
    target.finish()
    return manifest


def next_steps(manifest: Manifest, directory: Path) -> list[str]:
    """What a person does after a rescue, a line each."""
    major = major_of(manifest.source.version_number)
    if manifest.facts.kind == LOGICAL.lower():
        return _steps_of_dumps(major, directory)
    moved = f"  {directory}.tablespaces" if any(f.kind == "link" for f in manifest.files) else ""
    return [
        f"Give it to PostgreSQL's user:  chown -R postgres: {directory}{moved}",
        "Look through its postgresql.conf: memory, addresses and libraries were another host's.",
        f"Start it with version {major}:  pg_ctl -D {directory} -o '-p 5433' start",
        "It replays the log of the backup and is then as the source was when the backup ended. "
        "Archiving is off in postgresql.auto.conf.",
    ]


def _steps_of_dumps(major: int, directory: Path) -> list[str]:
    return [
        "These are dumps, a file a database (odd characters as %XX), "
        f"for the programs of version {major} or newer.",
        f"Make the roles that you need: {directory}/{GLOBALS} has them. Read it before it runs.",
        "Load a database:  createdb -T template0 NAME, then  "
        f"pg_restore --exit-on-error -d NAME {directory}/NAME.dump",
        "Without the roles:  pg_restore --no-owner --no-privileges ...",
        f"Encodings, locales and settings of the databases are in {directory}/{PARAMETERS}.",
    ]
