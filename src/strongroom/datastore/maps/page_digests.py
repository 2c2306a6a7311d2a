"""A digest of every page of a pack's raw stream: what lies there already need not be fetched.

Eight bytes a page, keyed by the pack's content key: the beginning of the tag of an AES-256-GCM
that encrypts nothing and authenticates the page (GMAC, NIST SP 800-38D), with the nonce 2^94 +
number of the page. They lie between frames and table, as one AES-256-GCM record (nonce 2^95 + 1,
AAD pack id || u32 number of pages). Who cannot open the pack reads no digest and makes none;
that a page of other bytes has the same one is one chance in 2^64 (docs/decisions/0227).
"""

from collections.abc import Callable
from itertools import repeat

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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


def digests_by(key: AESGCM) -> DigestsOf:
    """`of(first, pages)`: the digests of pages whose numbers in the raw stream follow `first`.

    The last page may be short: zeros follow it in the raw stream.
    """

    def of(first: int, pages: memoryview) -> bytes:
        short = -len(pages) % PAGE
        view = memoryview(bytes(pages) + bytes(short)) if short else pages
        number = _FIRST_NONCE + first
        with IN_TURN:
            cut = [view[at : at + PAGE] for at in range(0, len(view), PAGE)]
            nonces = [(number + page).to_bytes(12, "big") for page in range(len(cut))]
            tags = b"".join(map(key.encrypt, nonces, repeat(b""), cut))
        return memoryview(tags).cast("Q")[:: TAG // DIGEST].tobytes()

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


def digests_with(content_key: bytes) -> DigestsOf:
    """As `digests_by`, with a key as it was handed out."""
    if len(content_key) != 32:
        raise WrongKey(f"a content key has 32 bytes, not {len(content_key)}")
    return digests_by(AESGCM(content_key))
