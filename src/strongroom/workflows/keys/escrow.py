"""An instance's pairs beside its data, each sealed to the recovery key: what a rescue needs.

The catalogue keeps the digest of what was put: nobody but the recovery key can open it, and so
it can still be told whether the object is the one that it should be.
"""

import sqlalchemy as sa
import structlog
from blake3 import blake3

from strongroom.catalog.protection import instance_keys
from strongroom.datastore.keys.keys import instance_key_name, seal_instance_key
from strongroom.datastore.packs.seal import KeyPair, PublicKey
from strongroom.model.errors import ObjectExists, ObjectMissing
from strongroom.workflows.basis.means import Means

log = structlog.get_logger()


def put(means: Means, instance_id: str, purpose: str, pair: KeyPair) -> bytes:
    """Under its name; what is there already stays. Returns the BLAKE3 of what lies there."""
    blobs = means.storage.container(instance_id)
    name = means.keyring.escrow_names(pair.public.key_id)[0]
    sealed = means.keyring.escrow(instance_id, purpose, pair)
    try:
        blobs.create(name, sealed)
    except ObjectExists:
        sealed = blobs.read(name)
    return blake3(sealed).digest()


def put_and_note(means: Means, instance_id: str, purpose: str, pair: KeyPair) -> None:
    """Of a pair that is in the catalogue; safe twice."""
    digest = put(means, instance_id, purpose, pair)
    with means.control.database.writing() as connection:
        instance_keys.note_escrow(connection, pair.public.key_id, digest)


def sound_names(means: Means, instance_id: str) -> set[str]:
    """Objects beneath `k/` that are, read again, what was put there for a pair of the catalogue.

    Of a pair whose digest was never kept, any that the endpoint vouches for.
    """
    with means.control.database.reading() as connection:
        rows = instance_keys.list_of_instance(connection, instance_id)
    expected = {row["key_id"].hex(): row["escrow"] for row in rows}
    try:
        names = [name for name, _ in means.storage.container(instance_id).list("k/")]
    except ObjectMissing:  # its protection was never set up: there is no container
        return set()
    found = set()
    for digest in means.storage.account_view(instance_id).digests(names):
        known = expected.get(digest.name.removeprefix("k/").partition(".")[0])
        if not (digest.missing or digest.corrupt) and known in {None, digest.blake3}:
            found.add(digest.name)
    return found


def for_key(row: sa.RowMapping, pair: KeyPair, recovery: PublicKey) -> tuple[str, bytes]:
    """The object, name and bytes, by which a recovery key that came later opens a pair."""
    sealed = seal_instance_key(recovery, pair, row["instance_id"], row["purpose"])
    return instance_key_name(row["key_id"], recovery.key_id), sealed


def put_again(means: Means, row: sa.RowMapping, pair: KeyPair) -> None:
    """Under the first of its names that is free: nothing is taken away that lies in the way."""
    blobs = means.storage.container(row["instance_id"])
    sealed = means.keyring.escrow(row["instance_id"], row["purpose"], pair)
    for name in means.keyring.escrow_names(row["key_id"]):
        try:
            blobs.create(name, sealed)
        except ObjectExists:
            continue
        with means.control.database.writing() as connection:
            instance_keys.note_escrow(connection, row["key_id"], blake3(sealed).digest())
        log.warning("key.put_again", instance=row["instance_id"], name=name)
        return
