"""Another recovery key: every pair is sealed to it as well, and from then on to it alone.

Its secret half is made and kept by whoever asks; the control plane sees the public half. What lies
in storage for the recovery key before it stays: a kit that was lost harms nobody, and until the
last pair is sealed to the new one the old one is what opens everything.
"""

import base64

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instance_keys
from strongroom.control.basis import long_running
from strongroom.datastore.packs.seal import PublicKey
from strongroom.durable.engine import Story
from strongroom.model.errors import ObjectExists, VaultError
from strongroom.workflows.basis.means import Means
from strongroom.workflows.keys import escrow
from strongroom.workflows.keys.rotation import fail


def replace_recovery_key(means: Means, story: Story, public_key: str, operation_id: str) -> None:
    """The durable story; `public_key` is base64. Broken off anywhere it may be asked again."""
    try:
        story.step("seal to it", seal_all_to, means, public_key)
        story.step("take it", take, means, public_key, operation_id)
    except VaultError as error:
        story.step("fail", fail, means, operation_id, error.to_dict())


def seal_all_to(means: Means, public_key: str) -> int:
    """An object for each pair, beside those that are there; how many pairs. Safe twice."""
    recovery = PublicKey.from_bytes(base64.b64decode(public_key))
    with means.control.database.reading() as connection:
        rows = instance_keys.list_all(connection)
    for row in rows:
        pair = means.keyring.opened(row)
        blobs = means.storage.container(row["instance_id"])
        name, sealed = escrow.for_key(row, pair, recovery)
        try:
            blobs.create(name, sealed)
        except ObjectExists:
            continue
    return len(rows)


def take(means: Means, public_key: str, operation_id: str) -> None:
    """From here on it is in force; pairs that were made meanwhile get their objects too."""
    control, recovery = means.control, PublicKey.from_bytes(base64.b64decode(public_key))
    with control.database.writing() as connection:
        means.keyring.use_recovery(connection, recovery)
        rows = instance_keys.list_all(connection)
        for row in rows:
            instance_keys.note_escrow(connection, row["key_id"], None)
    for row in rows:
        pair = means.keyring.opened(row)
        escrow.put_and_note(means, row["instance_id"], row["purpose"], pair)
    with control.database.writing() as connection:
        now = control.clock.now()
        told = {"recoveryKey": recovery.key_id.hex()}
        audit.append(connection, now, "service", ("recoveryKey/take", "installation"), told)
        long_running.end_operation(connection, operation_id, now, result=told)
