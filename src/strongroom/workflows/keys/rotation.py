"""New keys in the place of old ones, without a byte of data written anew.

A rotation of the key-encryption key: another one seals, every private key is sealed anew, and only
then what sealed before is forgotten. Broken off anywhere, every key opens: by the new one or by
the old one, which are both there until the end. A rotation of an instance's keys: writers are
given another pair from the next backup on, and the pairs before it open what was written.
"""

from typing import Any

import sqlalchemy as sa
import structlog

from strongroom.catalog.installation import executors
from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instance_keys
from strongroom.catalog.work import jobs
from strongroom.control.basis import long_running
from strongroom.datastore.packs.seal import KeyPair
from strongroom.durable.engine import Story
from strongroom.model.errors import Precondition, VaultError, WrongKey
from strongroom.workflows.basis.keyring import PURPOSES, bound_to, bound_to_job
from strongroom.workflows.basis.means import Means
from strongroom.workflows.keys import escrow

_ALIVE_SECONDS = 60.0

log = structlog.get_logger()


def rotate_kek(means: Means, story: Story, operation_id: str) -> None:
    """The durable story of another key-encryption key."""
    try:
        story.step("begin", begin_kek_rotation, means)
        sealed = story.step("seal anew", seal_anew, means)
        story.step("end", _end_kek_rotation, means, operation_id, sealed)
    except VaultError as error:
        story.step("fail", fail, means, operation_id, error.to_dict())


def begin_kek_rotation(means: Means) -> None:
    """Raises Precondition while another process seals under its own copy of a file."""
    control, kek = means.control, means.keyring.kek
    after = control.clock.now().subtract(seconds=_ALIVE_SECONDS)
    with control.database.reading() as connection:
        alive = executors.seen_since(connection, after)
    if len(alive) > 1 and not kek.is_shared:
        raise Precondition(
            f"{len(alive)} control planes run, each with a copy of the key-encryption key",
            hint="stop all but one for a minute, rotate, and copy its kek.key to the others",
        )
    kek.begin_rotation()


def seal_anew(means: Means) -> int:
    """Whatever another key has sealed; how many. Safe twice.

    A program's key is asked again for each: it alone knows which version of its key is the newest.
    """
    kek = means.keyring.kek
    with means.control.database.reading() as connection:
        keys = instance_keys.list_all(connection)
        signatures = jobs.sealed_signatures(connection)
    count = 0
    for row in keys:
        if kek.is_shared or not kek.is_current(row["sealed_private"]):
            count += _anew(means, row)
    for job, sealed in signatures.items():
        if kek.is_shared or not kek.is_current(sealed):
            count += _signature_anew(means, job, sealed)
    files = means.keyring.files
    return count + (0 if files is None else files.seal_anew())


def _anew(means: Means, row: sa.RowMapping) -> bool:
    """Opened and sealed, in one transaction; one that does not open is left, and told."""
    place, before = bound_to(row["instance_id"], row["purpose"]), row["sealed_private"]
    kek = means.keyring.kek
    try:
        secret = means.keyring.opened(row).to_bytes()
    except WrongKey as error:
        log.warning("key.does_not_open", key=row["key_id"].hex(), why=error.message)
        return False
    with means.control.database.writing() as connection:
        after = kek.seal(secret, place)
        return instance_keys.reseal(connection, row["key_id"], before, after)


def _signature_anew(means: Means, job: str, sealed: bytes) -> bool:
    kek, place = means.keyring.kek, bound_to_job(job)
    try:
        signature = kek.open(sealed, place)
    except WrongKey as error:
        log.warning("signature.does_not_open", job=job, why=error.message)
        return False
    with means.control.database.writing() as connection:
        return jobs.reseal_signature(connection, job, sealed, kek.seal(signature, place))


def _end_kek_rotation(means: Means, operation_id: str, sealed: int) -> None:
    now = means.control.clock.now()
    forget_old_kek(means)
    with means.control.database.writing() as connection:
        told = {"keys": sealed, "sealedBy": means.keyring.kek.current.name}
        audit.append(connection, now, "service", ("keyEncryptionKey/take", "installation"), told)
        long_running.end_operation(connection, operation_id, now, result=told)


def forget_old_kek(means: Means) -> None:
    """Nothing that it sealed is left: looked at where nobody else writes, and seals.

    Raises WrongKey, naming the keys, when some do not open: then it stays.
    """
    kek = means.keyring.kek
    if not kek.is_shared:
        seal_anew(means)  # what was sealed in the meantime
    with means.control.database.writing() as connection:
        keys = instance_keys.list_all(connection)
        sealed = {row["key_id"].hex(): row["sealed_private"] for row in keys}
        sealed |= {f"of job {job}": s for job, s in jobs.sealed_signatures(connection).items()}
        stale = [name for name, found in sealed.items() if not kek.is_current(found)]
        stale += [] if means.keyring.files is None else means.keyring.files.stale()
        if not stale:
            kek.end_rotation()
    if stale:
        raise WrongKey(
            f"{len(stale)} keys are still sealed under another key: {', '.join(stale)[:200]}",
            hint="strongroom keys check tells of each; the old key stays where it is until then",
        )


def rotate_instance(
    means: Means, story: Story, instance_id: str, number: int, operation_id: str
) -> None:
    """The durable story of new pairs of an instance, with this number. Safe twice."""
    try:
        for purpose in PURPOSES:
            story.step("make a key", make_next_pair, means, instance_id, purpose, number)
        story.step("end", _end_rotation, means, instance_id, operation_id)
    except VaultError as error:
        story.step("fail", fail, means, operation_id, error.to_dict())


def make_next_pair(means: Means, instance_id: str, purpose: str, number: int) -> None:
    """In storage for the recovery key first: no point is ever sealed to what that cannot open."""
    control, keyring = means.control, means.keyring
    with control.database.reading() as connection:
        known = instance_keys.list_of_purpose(connection, instance_id, purpose)
    if any(row["number"] >= number for row in known):
        return
    pair = KeyPair.generate(control.chance)
    digest = escrow.put(means, instance_id, purpose, pair)
    with control.database.writing() as connection:
        keyring.keep_pair(connection, instance_id, (purpose, number), pair, control.clock)
        instance_keys.note_escrow(connection, pair.public.key_id, digest)


def _end_rotation(means: Means, instance_id: str, operation_id: str) -> None:
    control = means.control
    with control.database.writing() as connection:
        now = control.clock.now()
        told: dict[str, Any] = {
            purpose: instance_keys.list_of_purpose(connection, instance_id, purpose)[-1][
                "key_id"
            ].hex()
            for purpose in PURPOSES
        }
        audit.append(connection, now, "service", ("keys/take", instance_id), told)
        long_running.end_operation(connection, operation_id, now, result=told)


def fail(means: Means, operation_id: str, error: dict[str, Any]) -> None:
    """The operation ends with what went wrong."""
    control = means.control
    with control.database.writing() as connection:
        long_running.end_operation(connection, operation_id, control.clock.now(), error=error)
