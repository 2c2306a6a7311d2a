"""Restore with storage and the recovery key alone: no service, no catalogue, no network.

A manifest without a valid receipt is quarantined: shown as such, never restored.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from strongroom.datastore.blobs import Blobs
from strongroom.datastore.keys import RecoveryKey, open_instance_key
from strongroom.datastore.manifest import Manifest, content_key_of, open_manifest_with
from strongroom.datastore.pack import MANIFEST, read_header
from strongroom.datastore.reader import read_files
from strongroom.datastore.receipt import Receipt
from strongroom.datastore.seal import KeyPair
from strongroom.datastore.session import content_keys
from strongroom.model.errors import Corrupt, NotFound, TargetNotEmpty, TargetRefused, VaultError


@dataclass(frozen=True, slots=True)
class Found:
    """A recovery point in storage. `problem` says why it is quarantined."""

    recovery_point_id: str
    receipt: Receipt | None
    problem: str = ""


def list_points(blobs: Blobs, recovery: RecoveryKey) -> list[Found]:
    """Every manifest in a container, newest last."""
    found = []
    for name, _ in blobs.list("p/"):
        if name.endswith(".manifest"):
            point = name.removeprefix("p/").removesuffix(".manifest")
            try:
                found.append(Found(point, _receipt(blobs, recovery, point)))
            except VaultError as error:
                found.append(Found(point, None, f"quarantined: {error.message}"))
    return sorted(found, key=lambda f: f.receipt.taken_at if f.receipt else "")


def _receipt(blobs: Blobs, recovery: RecoveryKey, point: str) -> Receipt:
    receipt = recovery.verify.check(blobs.read(f"p/{point}.receipt"))
    stored = blobs.read(f"p/{point}.manifest")
    if receipt.recovery_point_id != point or blake3(stored).digest() != receipt.manifest_blake3:
        raise Corrupt("the receipt vouches for another manifest")
    return receipt


def open_point(blobs: Blobs, recovery: RecoveryKey, point: str) -> tuple[Manifest, KeyPair]:
    """A committed point's manifest, and the pair that opens its packs."""
    _receipt(blobs, recovery, point)
    pairs: dict[str, KeyPair] = {}
    by_id: dict[bytes, KeyPair] = {}
    for name, _ in blobs.list("k/"):
        key_id = bytes.fromhex(name.removeprefix("k/").removesuffix(".key"))
        key = open_instance_key(recovery.pair, key_id, blobs.read(name))
        pairs[key.purpose] = by_id[key_id] = KeyPair.from_bytes(key.secret)
    stored = blobs.read(f"p/{point}.manifest")
    pair = by_id.get(read_header(stored, MANIFEST).key_id)
    if pair is None or "data" not in pairs:
        raise NotFound(
            "the instance's keys are not in this container",
            hint="its k/ folder must hold them; look in the second copy",
        )
    return open_manifest_with(stored, content_key_of(stored, pair)), pairs["data"]


def rescue(
    blobs: Blobs,
    recovery: RecoveryKey,
    point: str,
    directory: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Write a recovery point as a data directory; tablespaces go below `<directory>.tablespaces`.

    `on_progress(raw bytes, fetched bytes)`. The directory is new or empty.
    """
    if directory.exists() and any(directory.iterdir()):
        raise TargetNotEmpty(f"{directory} is not empty", hint="name a new directory")
    manifest, data_pair = open_point(blobs, recovery, point)
    places = [_place(directory, file.path) for file in manifest.files]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file, place in zip(manifest.files, places, strict=True):
        if file.kind == "link":
            beside = directory.with_name(f"{directory.name}.tablespaces") / place.name
            beside.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.symlink_to(beside)
    for file, place in zip(manifest.files, places, strict=True):
        if file.kind == "directory":
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif file.kind != "link":
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.ftruncate(descriptor, file.size)
            os.close(descriptor)

    def write(index: int, offset: int, data: memoryview) -> None:
        with places[index].open("r+b") as file:
            file.seek(offset)
            file.write(data)

    keys = content_keys(blobs, manifest, data_pair)
    read_files(manifest, blobs, keys, write, on_progress=on_progress)
    os.sync()
    return manifest


def _place(directory: Path, path: str) -> Path:
    parts = path.split("/")
    if path.startswith("/") or "" in parts or "." in parts or ".." in parts or "\0" in path:
        raise TargetRefused(f"the point names a file outside the target: {path[:200]!r}")
    return directory.joinpath(*parts)
