"""What no recovery point needs: packs and deltas that no receipt of a container names.

A receipt lists all packs of its point, so no key is needed, and where a pack lies says nothing
about who needs it: an increment names packs of its parents.
"""

from collections.abc import Collection, Mapping

from blake3 import blake3
from whenever import Instant

from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.statements.receipt import Receipt, VerifyKey
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing, WrongKey

COLLECTED = ("g/", "d/")  # what may be garbage: keys, manifests and receipts never are


class Unreadable(Corrupt):
    """A receipt or manifest cannot be read, so nobody can say what the container still needs."""

    advice = "See what has become of it: strongroom doctor. Nothing is deleted meanwhile."


def unnamed(listing: Mapping[str, int], named: Collection[str]) -> dict[str, int]:
    """Those of a listing (name -> bytes) that could be garbage and that nobody names."""
    return {
        name: size
        for name, size in listing.items()
        if name.startswith(COLLECTED) and name not in named
    }


def unkept_log(listing: Mapping[str, int], kept: Collection[str]) -> dict[str, int]:
    """Ranges of write-ahead log (name -> bytes) that were put and never committed."""
    return {
        name: size
        for name, size in listing.items()
        if name.startswith("w/") and "/history." not in name and name not in kept
    }


def read_receipts(
    blobs: Blobs, verify: VerifyKey, now: Instant, live: Collection[str]
) -> list[Receipt]:
    """Every receipt of a container, each signed, and its manifest what it states.

    Not those of points that have ended: by now their signed time is over and their manifest is
    gone, and they are none of the `live` ones, those that the catalogue shows.

    Raises Unreadable for one that is not so, and StoreError for what cannot be checked now: a
    container of which anything is unknown has no garbage.
    """
    names = [name for name, _ in list(blobs.list("p/"))]
    return [
        read_receipt(blobs, verify, name)
        for name in names
        if name.endswith(".receipt") and not _has_ended(blobs, verify, name, names, now, live)
    ]


def has_ended(receipt: Receipt, now: Instant) -> bool:
    """Whether its signed time is over: then its manifest need not be there."""
    return Instant.parse_iso(receipt.expires_at) <= now


def _has_ended(
    blobs: Blobs,
    verify: VerifyKey,
    name: str,
    names: list[str],
    now: Instant,
    live: Collection[str],
) -> bool:
    point = name.removeprefix("p/").removesuffix(".receipt")
    if point in live or f"p/{point}.manifest" in names:
        return False
    try:
        receipt = verify.check(blobs.read(name))
    except (Corrupt, ObjectMissing, Invalid):
        return False  # `read_receipt` says what is wrong with it
    return receipt.recovery_point_id == point and has_ended(receipt, now)


def read_receipt(blobs: Blobs, verify: VerifyKey, name: str) -> Receipt:
    """One of them; raises as `read_receipts`."""
    try:
        return _checked(blobs, verify, name)
    except (Corrupt, ObjectMissing, WrongKey, Invalid) as error:
        raise Unreadable(f"{name}: {error.message}", facts={"name": name}) from error


def _checked(blobs: Blobs, verify: VerifyKey, name: str) -> Receipt:
    receipt = verify.check(blobs.read(name))
    if name != f"p/{receipt.recovery_point_id}.receipt":
        raise Corrupt("the receipt is of another point")
    stored = blobs.read(f"p/{receipt.recovery_point_id}.manifest")
    stated = receipt.manifest_size, receipt.manifest_blake3
    if (len(stored), blake3(stored).digest()) != stated:
        raise Corrupt("the manifest is not the one that was committed")
    return receipt
