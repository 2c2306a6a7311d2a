"""The keys of one restore: opened for its plan alone, sealed to its session.

HPKE to the session key, info = b"strongroom-session-1" + operation id, of msgpack
{"manifest": key, "packs": {pack id: key}}.
"""

from concurrent.futures import ThreadPoolExecutor

import msgspec

from strongroom.datastore.blobs import Blobs
from strongroom.datastore.manifest import Manifest, PackFacts, decode_checked
from strongroom.datastore.pack import HEADER_SIZE, PACK, open_content_key, read_header
from strongroom.datastore.seal import KeyPair, PublicKey, open_sealed, seal

_INFO = b"strongroom-session-1"
_SIDE_BY_SIDE = 8


class SessionKeys(msgspec.Struct, kw_only=True, frozen=True):
    """Content keys, 32 bytes each; packs by id (16 bytes)."""

    manifest: bytes
    packs: dict[bytes, bytes]


def content_keys(blobs: Blobs, manifest: Manifest, data_pair: KeyPair) -> dict[bytes, bytes]:
    """The key of every pack that the point leans on, from the packs' own headers."""

    def one(pack: PackFacts) -> tuple[bytes, bytes]:
        header = read_header(blobs.read_range(pack.name, 0, HEADER_SIZE), PACK)
        return pack.id, open_content_key(header, data_pair)

    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="keys") as pool:
        return dict(pool.map(one, manifest.packs))


def seal_session(keys: SessionKeys, session_public: bytes, operation_id: str) -> bytes:
    """The control plane's side."""
    public = PublicKey.from_bytes(session_public)
    return seal(public, _INFO + operation_id.encode(), msgspec.msgpack.encode(keys))


def open_session(pair: KeyPair, operation_id: str, sealed: bytes) -> SessionKeys:
    """The agent's side."""
    raw = open_sealed(pair, _INFO + operation_id.encode(), sealed)
    keys: SessionKeys = decode_checked(raw, SessionKeys)
    return keys
