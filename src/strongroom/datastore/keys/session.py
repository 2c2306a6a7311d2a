"""The keys of one restore: opened for its plan alone, sealed to its session.

HPKE to the session key, info = b"strongroom-session-1" + operation id, of msgpack
{"manifest": key, "packs": {pack id: key}}.
"""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import msgspec

from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.packs.checked import decode_checked
from strongroom.datastore.packs.pack import HEADER_SIZE, PACK, open_content_key, read_header
from strongroom.datastore.packs.seal import KeyPair, PublicKey, open_sealed, seal
from strongroom.datastore.places.blobs import Blobs
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing, WrongKey
from strongroom.model.ids import KeyId

_INFO = b"strongroom-session-1"
_SIDE_BY_SIDE = 8


class SessionKeys(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Content keys, 32 bytes each; packs by id (16 bytes)."""

    manifest: bytes
    packs: dict[bytes, bytes]


def content_keys(
    blobs: Blobs,
    manifest: Manifest,
    data_keys: KeyPair | Callable[[KeyId], KeyPair],
    packs: Collection[int] | None = None,
    *,
    tolerant: bool = False,
) -> dict[bytes, bytes]:
    """The keys of the packs that a plan names (by index; all when None), from their own headers.

    `data_keys`: the instance's data key, or who finds one by its id. Raises ObjectMissing,
    Corrupt, Invalid and WrongKey, naming the pack; `tolerant` leaves such a pack out instead.
    """
    chosen = range(len(manifest.packs)) if packs is None else sorted(packs)
    find = cache((lambda _: data_keys) if isinstance(data_keys, KeyPair) else data_keys)

    def one(index: int) -> tuple[bytes, bytes]:
        pack = manifest.packs[index]
        start = blobs.read_range(pack.name, 0, HEADER_SIZE)
        if len(start) != HEADER_SIZE:
            raise Corrupt(f"pack {pack.pack_id} is cut off")
        header = read_header(start, PACK)
        if header.pack_id != pack.pack_id:
            raise Corrupt(f"under the name of pack {pack.pack_id} lies pack {header.pack_id}")
        return pack.id, open_content_key(header, find(header.key_id))

    def attempt(index: int) -> tuple[bytes, bytes] | None:
        try:
            return one(index)
        except (ObjectMissing, Corrupt, Invalid, WrongKey):
            if tolerant:
                return None
            raise

    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="keys") as pool:
        return dict(filter(None, pool.map(attempt, chosen)))


def seal_session(keys: SessionKeys, session_public: bytes, operation_id: str) -> bytes:
    """The control plane's side."""
    public = PublicKey.from_bytes(session_public)
    return seal(public, _INFO + operation_id.encode(), msgspec.msgpack.encode(keys))


def open_session(pair: KeyPair, operation_id: str, sealed: bytes) -> SessionKeys:
    """The agent's side."""
    raw = open_sealed(pair, _INFO + operation_id.encode(), sealed)
    keys: SessionKeys = decode_checked(raw, SessionKeys)
    return keys
