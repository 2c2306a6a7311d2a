"""Restore with storage and the recovery key alone: no service, no catalogue, no network.

A manifest without a valid receipt is quarantined: shown as such, never restored.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from strongroom.datastore.blobs import Blobs
from strongroom.datastore.keys import RecoveryKey, instance_key_name, open_instance_key
from strongroom.datastore.manifest import FORMAT_LINE, FORMAT_NAME, Manifest, open_manifest
from strongroom.datastore.pack import HEADER_SIZE, MANIFEST, PACK, read_header
from strongroom.datastore.reader import read_files
from strongroom.datastore.receipt import Receipt
from strongroom.datastore.seal import KeyPair
from strongroom.datastore.session import content_keys
from strongroom.model.errors import (
    Corrupt,
    Invalid,
    NotFound,
    ObjectMissing,
    TargetFull,
    TargetNotEmpty,
    TargetRefused,
    VaultError,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A recovery point in storage. `problem` says why it is quarantined."""

    recovery_point_id: str
    receipt: Receipt | None
    problem: str = ""


def list_points(blobs: Blobs, recovery: RecoveryKey) -> list[Found]:
    """Every manifest in a container, newest last."""
    check_format(blobs)
    found = []
    for name, _ in blobs.list("p/"):
        if name.endswith(".manifest"):
            point = name.removeprefix("p/").removesuffix(".manifest")
            try:
                found.append(Found(point, _vouched(blobs, recovery, point)[0]))
            except VaultError as error:
                found.append(Found(point, None, f"quarantined: {error.message}"))
    return sorted(found, key=lambda f: f.receipt.taken_at if f.receipt else "")


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
    """A committed point's manifest, and the pair that opens its packs."""
    check_format(blobs)
    _, stored = _vouched(blobs, recovery, point)
    pair = _pair(blobs, recovery, read_header(stored, MANIFEST).key_id)
    manifest = open_manifest(stored, pair)
    if not manifest.packs:
        return manifest, pair
    header = read_header(blobs.read_range(manifest.packs[0].name, 0, HEADER_SIZE), PACK)
    return manifest, _pair(blobs, recovery, header.key_id)


def _pair(blobs: Blobs, recovery: RecoveryKey, key_id: bytes) -> KeyPair:
    try:
        sealed = blobs.read(instance_key_name(key_id))
    except ObjectMissing as error:
        raise NotFound(
            f"the instance's key {key_id.hex()} is not in this container",
            hint="its k/ folder must hold it; look in the second copy",
        ) from error
    return KeyPair.from_bytes(open_instance_key(recovery.pair, key_id, sealed).secret)


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
    with _target(directory):
        if directory.exists() and any(directory.iterdir()):
            raise TargetNotEmpty(f"{directory} is not empty", hint="name a new directory")
    manifest, data_pair = open_point(blobs, recovery, point)
    places = [_place(directory, file.path) for file in manifest.files]
    with _target(directory):
        _make_tree(directory, manifest, places)

    def write(index: int, offset: int, data: memoryview) -> None:
        with _target(places[index]), places[index].open("r+b") as file:
            file.seek(offset)
            file.write(data)

    keys = content_keys(blobs, manifest, data_pair)
    read_files(manifest, blobs, keys, write, on_progress=on_progress)
    os.sync()
    return manifest


def _make_tree(directory: Path, manifest: Manifest, places: list[Path]) -> None:
    """Directories, links and empty files of full length."""
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
            try:
                os.ftruncate(descriptor, file.size)
            finally:
                os.close(descriptor)


@contextmanager
def _target(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise TargetFull(f"{place} does not fit", hint="name a larger target") from error
        raise TargetRefused(
            f"{place} cannot be written: {error.strerror}",
            hint="name a new directory that you may write to",
        ) from error


def _place(directory: Path, path: str) -> Path:
    parts = path.split("/")
    strange = any(part in {"", ".", ".."} for part in parts) or "\0" in path
    if strange or any(0xD800 <= ord(letter) < 0xE000 for letter in path):
        raise TargetRefused(f"the point names a file outside the target: {path[:200]!r}")
    return directory.joinpath(*parts)
