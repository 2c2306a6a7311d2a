"""What takes storage and the recovery key alone: rescue, and the kit that the key lies in.

`keys` are files of a recovery key or of a kit: one, or as many shares as it takes. Raises Invalid
and NotFound for them.
"""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from strongroom.app.seams import SystemChance
from strongroom.datastore.keys.keys import RecoveryKey, read_key_text
from strongroom.datastore.keys.kit import read_kit, share_kit, whole_kit
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import DirectoryBlobs
from strongroom.datastore.rescue import rescue as datastore
from strongroom.datastore.statements.receipt import VerifyKey
from strongroom.model.errors import NotFound


def make_kit(text: str, needed: int, count: int) -> list[str]:
    """The documents of a recovery key, from its text."""
    key = read_kit([text])
    return [whole_kit(key)] if count == 1 else share_kit(key, needed, count, SystemChance())


def make_recovery_key(verify: str) -> tuple[str, str]:
    """(text, public half in base64) of a new one; `verify` is the receipt key's, base64."""
    pair = KeyPair.generate(SystemChance())
    key = RecoveryKey(pair, VerifyKey(base64.b64decode(verify)))
    return key.to_text(), base64.b64encode(pair.public.to_bytes()).decode()


def public_of(keys: Sequence[Path]) -> str:
    """The public half, base64."""
    return base64.b64encode(_recovery(keys).pair.public.to_bytes()).decode()


def list_points(storage: Path, keys: Sequence[Path]) -> list[dict[str, Any]]:
    """What can be rescued, and what cannot: id, server, takenAt, sizeBytes, problem."""
    recovery = _recovery(keys)
    told: list[dict[str, Any]] = []
    for container in _containers(storage):
        for found in datastore.list_points(DirectoryBlobs(container), recovery):
            receipt = found.receipt
            told.append(
                {
                    "id": found.recovery_point_id,
                    "server": receipt.server if receipt else "",
                    "takenAt": receipt.taken_at if receipt else "",
                    "sizeBytes": sum(p.size for p in receipt.packs) if receipt else 0,
                    "problem": found.problem,
                }
            )
    return told


def rescue(
    storage: Path,
    keys: Sequence[Path],
    point: str,
    to: Path,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Restore a point into `to`; facts to show."""
    recovery = _recovery(keys)
    for container in _containers(storage):
        if (container / "p" / f"{point}.manifest").exists():
            blobs = DirectoryBlobs(container)
            manifest = datastore.rescue(blobs, recovery, point, to, on_progress)
            return {
                "directory": str(to),
                "files": len(manifest.files),
                "postgresql": manifest.source.version_number // 10000,
                "next": "\n".join(datastore.next_steps(manifest, to)),
            }
    raise NotFound(
        f"there is no recovery point {point[:64]} below {storage}",
        hint="leave out --point to list what is there",
    )


def _containers(storage: Path) -> list[Path]:
    """Containers below a store's directory: whoever has a FORMAT file."""
    patterns = ("FORMAT", "*/FORMAT", "*/*/FORMAT")
    return sorted(path.parent for pattern in patterns for path in storage.glob(pattern))


def _recovery(keys: Sequence[Path]) -> RecoveryKey:
    return read_kit([read_key_text(path) for path in keys])
