"""Opening the back end that the settings name, and seeing that it is this store's own."""

from dataclasses import dataclass
from pathlib import Path

import structlog

from strongroom.model.errors import Conflict, ObjectExists, ObjectMissing, Precondition
from strongroom.model.seams import Chance, Clock
from strongroom.storage.back_ends.adopting import adopt
from strongroom.storage.back_ends.azure_bucket import AzureBucket
from strongroom.storage.back_ends.back_end import BackEnd, NativeLock, NativeLocks
from strongroom.storage.back_ends.bucket import Bucket
from strongroom.storage.back_ends.bucket_back_end import BucketBackEnd
from strongroom.storage.back_ends.disk_back_end import DiskBackEnd
from strongroom.storage.back_ends.s3_bucket import S3Bucket
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.layout import Layout, write_whole
from strongroom.storage.basis.settings import BackEndSettings, StoreSettings
from strongroom.storage.ledger.ledger import Ledger

_OWNER = ".strongroom-store"
_log = structlog.get_logger("strongroom.storage")


@dataclass(frozen=True, slots=True)
class Place:
    """Where blobs lie. `locks` None: nobody but the ledger keeps them there."""

    back_end: BackEnd
    locks: NativeLocks | None
    most_bytes: int  # of one blob


def open_place(
    settings: StoreSettings, disk: Disk, ledger: Ledger, clock: Clock, chance: Chance
) -> Place:
    """What the settings name, and no other than it was the last time.

    Raises Conflict when it is another store's, or another than this one's; Precondition when it
    cannot be used, or has no locks and nobody said that it need not.
    """
    layout, chosen = Layout(settings.root, settings.account), settings.back_end
    identity = _claim(ledger, "" if chosen is None else chosen.url, chance)
    if chosen is None:
        return Place(DiskBackEnd(layout, disk, ledger), None, settings.max_blob_bytes)
    bucket: Bucket = S3Bucket(chosen) if chosen.kind == "s3" else AzureBucket(chosen, clock)
    try:
        has_locks = _has_locks(bucket, chosen)
        _own(bucket, chosen, layout.private / "identity", identity, ledger)
    except BaseException:
        bucket.close()
        raise
    back_end = BucketBackEnd(bucket, chosen.prefix, clock)
    return Place(back_end, back_end if has_locks else None, bucket.most_bytes)


def _claim(ledger: Ledger, url: str, chance: Chance) -> str:
    """The ledger's own id; from the first time on its blobs lie at `url` ("": on the disk).

    Raises Conflict when they lie elsewhere: nothing moves them.
    """
    with ledger.writing() as connection:
        row = connection.execute("SELECT id, place FROM identity").fetchone()
        if row is None:
            has_blobs = connection.execute("SELECT 1 FROM blobs LIMIT 1").fetchone()
            row = (chance.bytes(16).hex(), "" if has_blobs else url)
            connection.execute("INSERT INTO identity VALUES (1, ?, ?)", row)
    identity, place = row
    if place != url:
        raise Conflict(
            f"the blobs of this store lie {f'in {place}' if place else 'on its disk'}, "
            f"not {f'in {url}' if url else 'on its disk'}",
            hint="Give the back end it was made with. To change it, start another store and let "
            "it fill itself with --pull-from.",
        )
    return str(identity)


def _has_locks(bucket: Bucket, settings: BackEndSettings) -> bool:
    why = bucket.why_no_locks()
    if why and not settings.without_native_locks:
        raise Precondition(
            f"{why}: whoever has its keys could delete what is locked",
            hint="Make one with versioning and object lock (docs/operations.md), or say "
            "without-native-locks: then the locks are the ledger's alone.",
        )
    if why:
        _log.warning("no_native_locks", reason=why)
    return not why


def _own(
    bucket: Bucket, settings: BackEndSettings, file: Path, identity: str, ledger: Ledger
) -> None:
    """One prefix, one ledger; and a place where a second put is refused, tried each time."""
    key = f"{settings.prefix}{_OWNER}"
    write_whole(file, f"{identity}\n".encode())
    try:
        bucket.put(key, file, identity, NativeLock())
        bucket.put(key, file, identity, NativeLock())
    except ObjectExists:
        owners = _owners(bucket, key)
        if identity in owners:
            return
        if settings.adopt:
            adopt(ledger, bucket, settings.prefix, owners[-1])
            return
        raise Conflict(
            "another store's blobs lie at this place, and this store's ledger does not know them",
            hint="Bring back that store's data directory. Where it is lost, and that store never "
            "runs again, say adopt = true; for a new store choose another prefix.",
        ) from None
    raise Precondition(
        "this provider writes over what is there, though it is told to create only",
        hint="Use one that honours If-None-Match: *.",
    )


def _owners(bucket: Bucket, key: str) -> list[str]:
    found = []
    for version in bucket.versions(key):
        try:
            found.append(bucket.look(key, version).digest)
        except ObjectMissing:
            continue
    return found
