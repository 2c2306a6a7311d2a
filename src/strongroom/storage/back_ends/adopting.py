"""A ledger made anew from a bucket, where the host that kept it is lost.

What the provider keeps says what the ledger said: names, sizes, digests (put with each object),
dates of locks, holds. Of several versions of a name the oldest that carries a digest is taken: who
has the bucket's keys can put newer ones, and none before ours. Nothing is believed of its bytes:
the scrub reads adopted blobs first, and receipts are signed. All of it is one transaction.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby

import structlog

from strongroom.model.errors import Conflict, Invalid, ObjectMissing
from strongroom.storage.back_ends.bucket import Bucket, Listed, Stored
from strongroom.storage.basis.blob import Blob, Facts
from strongroom.storage.basis.names import checked_blob, checked_container
from strongroom.storage.ledger.ledger import Ledger, micros_of

HOLD = "adopted"  # the provider does not know what its holds are called
_AT_ONCE = 8
_Found = tuple[Blob, Stored]
_log = structlog.get_logger("strongroom.storage")


def adopt(ledger: Ledger, bucket: Bucket, prefix: str, identity: str) -> None:
    """Into an empty ledger, which is `identity` from now on. Raises Conflict, StoreError."""
    with ledger.reading() as connection:
        if connection.execute("SELECT 1 FROM containers LIMIT 1").fetchone():
            raise Conflict(
                "this store's ledger knows blobs, and another store's lie at this place",
                hint="Adopt with an empty data directory.",
            )
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="adopt") as pool:
        tasks = [(bucket, prefix, key, versions) for key, versions in _by_key(bucket, prefix)]
        found = [each for each in pool.map(_blob, tasks) if each is not None]
    _write(ledger, found, identity)
    _log.warning("ledger_adopted", blobs=len(found), identity=identity)


def _by_key(bucket: Bucket, prefix: str) -> Iterator[tuple[str, list[Listed]]]:
    everything = list(bucket.everything(prefix))
    everything.reverse()  # the oldest first: their times are whole seconds and do not tell
    everything.sort(key=lambda each: each.key)
    for key, versions in groupby(everything, key=lambda each: each.key):
        yield key, list(versions)


def _blob(task: tuple[Bucket, str, str, list[Listed]]) -> _Found | None:
    bucket, prefix, key, versions = task
    container, _, name = key.removeprefix(prefix).partition("/")
    try:
        checked_container(container)
        checked_blob(name)
    except Invalid:
        return None  # nothing of ours: the mark of who owns the prefix, or a stranger's
    for each in versions:
        with suppress(ObjectMissing, ValueError):
            stored = bucket.look(key, each.version)
            digest = bytes.fromhex(stored.digest)
            if len(digest) == 32:
                blob = Blob(
                    container=container,
                    name=name,
                    size=stored.size,
                    blake3=digest,
                    md5=None,
                    facts=Facts(),
                    created=each.put_at,
                    version=each.version,
                )
                return blob, stored
    _log.warning("not_adopted", key=key)
    return None


def _write(ledger: Ledger, found: list[_Found], identity: str) -> None:
    containers: dict[str, list[_Found]] = {}
    for each in found:
        containers.setdefault(each[0].container, []).append(each)
    with ledger.writing() as connection:
        for name, blobs in containers.items():
            created = micros_of(min(blob.created for blob, _ in blobs))
            connection.execute("INSERT INTO containers VALUES (?, ?, '{}')", [name, created])
            state = _state(blobs)
            connection.execute("INSERT INTO immutability VALUES (?, ?, 0)", [name, state])
        connection.executemany(
            "INSERT INTO blobs (container, name, size, blake3, facts, created, version) "
            "VALUES (?, ?, ?, ?, '{}', ?, ?)",
            [
                [b.container, b.name, b.size, b.blake3, micros_of(b.created), b.version]
                for b, _ in found
            ],
        )
        connection.executemany(
            "INSERT INTO locks VALUES (?, ?, ?)",
            [
                [blob.container, blob.name, micros_of(stored.lock.until)]
                for blob, stored in found
                if stored.lock.until is not None
            ],
        )
        connection.executemany(
            "INSERT INTO holds VALUES (?, ?, ?)",
            [[blob.container, blob.name, HOLD] for blob, stored in found if stored.lock.is_held],
        )
        connection.execute("UPDATE identity SET id = ?", [identity])


def _state(blobs: list[_Found]) -> str:
    locks = [stored.lock for _, stored in blobs]
    if any(lock.is_final for lock in locks):
        return "Locked"
    return "Unlocked" if any(lock.until is not None for lock in locks) else "Disabled"
