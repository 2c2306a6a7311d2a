"""A digest of every page of a pack's raw stream: what lies there already need not be fetched.

Eight bytes a page, keyed by the pack's content key: the beginning of the tag of an AES-256-GCM
that encrypts nothing and authenticates the page (GMAC, NIST SP 800-38D), with the nonce 2^94 +
number of the page. They lie between frames and table, as one AES-256-GCM record (nonce 2^95 + 1,
AAD pack id || u32 number of pages). Who cannot open the pack reads no digest and makes none;
that a page of other bytes has the same one is one chance in 2^64 (docs/decisions/0227).
"""

from collections.abc import Callable
from itertools import repeat

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom import compiled
from strongroom.datastore.maps.manifest import PackFacts
from strongroom.datastore.packs.pack import (
    DIGEST,
    FRAME,
    MOST_RAW,
    TAG,
    TRAILER_SIZE,
    Fetch,
    OpenPack,
    digest_count,
)
from strongroom.model.errors import Corrupt, WrongKey
from strongroom.model.postgres import PAGE
from strongroom.turns import IN_TURN

_FIRST_NONCE = 1 << 94
_RECORD_NONCE = ((1 << 95) + 1).to_bytes(12, "big")
DigestsOf = Callable[[int, memoryview], bytes]
# Of a page: the first counter block of its GCM, whose encryption is added to its hash.
_COUNTER = np.dtype([("first", ">u4"), ("page", ">u8"), ("count", ">u4")])


def digests_by(key: bytes) -> DigestsOf:
    """`of(first, pages)`: the digests of pages whose numbers in the raw stream follow `first`.

    The last page may be short: zeros follow it in the raw stream. Raises WrongKey for a key that
    has not 32 bytes.
    """
    if len(key) != 32:
        raise WrongKey(f"a content key has 32 bytes, not {len(key)}")
    tags = tags_one_by_one(key) if compiled.ghash is None else tags_at_once(key, compiled.ghash)

    def of(first: int, pages: memoryview) -> bytes:
        short = -len(pages) % PAGE
        whole = memoryview(bytes(pages) + bytes(short)) if short else pages
        return memoryview(tags(first, whole)).cast("Q")[:: TAG // DIGEST].tobytes()

    return of


def tags_at_once(key: bytes, ghash: Callable[[bytes, memoryview], bytes]) -> DigestsOf:
    """`of(first, pages)`: their whole tags; what depends on the key alone is computed once.

    Source: NIST SP 800-38D, 7.1: the tag is the hash of what is authenticated, plus the first
    counter block as the cipher alone encrypts it.
    """
    cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - GCM is built of it
    subkey = cipher.encryptor().update(bytes(TAG))

    def of(first: int, pages: memoryview) -> bytes:
        counters = np.empty(len(pages) // PAGE, dtype=_COUNTER)
        counters["first"] = _FIRST_NONCE >> 64
        counters["page"] = np.arange(first, first + len(counters))
        counters["count"] = 1
        masks = np.frombuffer(cipher.encryptor().update(counters.tobytes()), dtype=np.uint64)
        return (np.frombuffer(ghash(subkey, pages), dtype=np.uint64) ^ masks).tobytes()

    return of


def tags_one_by_one(key: bytes) -> DigestsOf:
    """The same where nothing is compiled, or for a processor that has no such instruction."""
    aead = AESGCM(key)

    def of(first: int, pages: memoryview) -> bytes:
        number = _FIRST_NONCE + first
        with IN_TURN:
            cut = [pages[at : at + PAGE] for at in range(0, len(pages), PAGE)]
            nonces = [(number + page).to_bytes(12, "big") for page in range(len(cut))]
            return b"".join(map(aead.encrypt, nonces, repeat(b""), cut))

    return of


def seal_digests(key: AESGCM, pack_id: bytes, digests: bytes) -> bytes:
    """The record, as it is stored."""
    return key.encrypt(_RECORD_NONCE, digests, _aad(pack_id, len(digests)))


def read_digests(fetch: Fetch, facts: PackFacts, content_key: bytes) -> bytes:
    """Of every page of a pack, in its order; empty where it keeps none.

    One request in most cases. Raises Corrupt, WrongKey, and what `fetch` raises.
    """
    raw_size = facts.raw_size or MOST_RAW
    table = 4 + 8 * -(-raw_size // FRAME) + TAG
    guess = min(facts.size, digest_count(raw_size) * DIGEST + TAG + table + TRAILER_SIZE)
    ending = fetch(facts.size - guess, guess)
    if len(ending) != guess:
        raise Corrupt(f"pack {facts.pack_id} is cut off")
    found = OpenPack(facts.pack_id, content_key).table(ending, facts.size)
    start, length = found.offsets[-1], found.digests
    if not length:
        return b""
    at = start - (facts.size - guess)
    sealed = bytes(ending[at : at + length] if at >= 0 else fetch(start, length))
    aad = _aad(facts.id, length - TAG)
    try:
        return AESGCM(content_key).decrypt(_RECORD_NONCE, sealed, aad)
    except InvalidTag as error:
        raise Corrupt(f"the digests of pack {facts.pack_id} are not what was written") from error


def _aad(pack_id: bytes, length: int) -> bytes:
    return pack_id + (length // DIGEST).to_bytes(4, "big")
