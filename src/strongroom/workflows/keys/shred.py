"""Crypto-shredding: an instance's private keys are destroyed, and with them all that they open.

First in storage, where a lock or a hold may refuse it, then in the catalogue, in the transaction
that writes the certificate. Until the first object is gone nothing has happened; broken off after
that it is asked for again, and finished. What cannot be called back are copies that were made of
the catalogue: whoever keeps such copies rotates the key-encryption key afterwards.
"""

import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import holds, shreds
from strongroom.catalog.protection import instance_keys, protection
from strongroom.datastore.places.container import Lock
from strongroom.datastore.statements.certificate import (
    Certificate,
    ShreddedKey,
    ShreddedPoint,
    sign_certificate,
)
from strongroom.model.errors import Locked, ObjectMissing
from strongroom.model.ids import InstanceId
from strongroom.workflows.basis.means import Means
from strongroom.workflows.keys.key_census import keys_of_point

log = structlog.get_logger()


def shred(means: Means, instance_id: InstanceId) -> bytes:
    """Destroy an instance's keys; returns the signed certificate. Safe twice.

    Raises Locked, with the reason, while a legal hold or a lock stands on any of its points: then
    every key is still there, unless storage changed its mind midway. Raises StoreError.
    """
    with means.control.database.reading() as connection:
        known = shreds.find(connection, instance_id)
    signed = known or _shred(means, instance_id)
    if not instance_keys.leave_no_trace(means.control.database):
        log.warning("instance.shred_traces", instance=instance_id)
    return signed


def _shred(means: Means, instance_id: InstanceId) -> bytes:
    names = _names(means, instance_id)
    points = [name[2:-9] for name in names if name.startswith("p/") and name.endswith(".manifest")]
    _refuse_if_kept(means, instance_id, points)
    told = [
        ShreddedPoint(
            recovery_point_id=point,
            sealed_to=keys_of_point(means, instance_id, point),
            opens=False,
        )
        for point in points
    ]
    sealed = [name for name in names if name.startswith("k/")]
    _delete(means, instance_id, sealed)
    left = [name for name in _names(means, instance_id) if name.startswith("k/")]
    if left:
        raise _kept(instance_id, f"storage still has {left[0]}")
    return _certify(means, instance_id, told, sealed)


def _names(means: Means, instance_id: str) -> list[str]:
    try:
        return [name for name, _ in means.storage.container(instance_id).list("")]
    except ObjectMissing:  # its protection was never set up: there is no container
        return []


def _refuse_if_kept(means: Means, instance_id: InstanceId, points: list[str]) -> None:
    """By the catalogue's holds, then by what the endpoint says of each point and of the keys."""
    control = means.control
    with control.database.reading() as connection:
        held = [row["name"] for row in holds.list_of_instance(connection, instance_id)]
    if held:
        raise _kept(instance_id, f"legal hold {held[0]} stands on it")
    now, view = control.clock.now(), means.storage.account_view(instance_id)
    for name in ("k/", *(f"p/{point}.manifest" for point in points)):
        why = _why(view.lock(name), now)
        if why:
            raise _kept(instance_id, f"{name} {why}")


def _why(lock: Lock, now: Instant) -> str:
    if lock.holds:
        return f"is under the legal hold {lock.holds[0]}"
    if lock.state != "Disabled" and lock.until is not None and Instant.parse_iso(lock.until) > now:
        return f"is locked until {lock.until}"
    return ""


def _kept(instance_id: str, why: str) -> Locked:
    return Locked(
        f"the keys of instance {instance_id} cannot be destroyed: {why}",
        hint="It can be done once every hold is lifted and every lock has ended.",
        facts={"why": why},
    )


def _delete(means: Means, instance_id: str, sealed: list[str]) -> None:
    """The newest pairs first: of all that is locked by its age, they are the last to be free."""
    with means.control.database.reading() as connection:
        rows = instance_keys.list_of_instance(connection, instance_id)
    numbers = {row["key_id"].hex(): row["number"] for row in rows}
    view = means.storage.account_view(instance_id)

    def age(name: str) -> tuple[int, int]:
        key, _, later = name.removeprefix("k/").removesuffix(".key").partition(".")
        return numbers.get(key, 0), len(later)

    for name in sorted(sealed, key=age, reverse=True):
        if not view.delete(name):
            raise _kept(instance_id, f"storage keeps {name}")


def _certify(
    means: Means, instance_id: str, points: list[ShreddedPoint], deleted: list[str]
) -> bytes:
    """Rows and certificate in one transaction; the certificate states what is seen in it."""
    control = means.control
    with control.database.writing() as connection:
        known = shreds.find(connection, instance_id)
        if known is not None:
            return known
        found, now = protection.by_id(connection, instance_id), control.clock.now()
        rows = instance_keys.list_of_instance(connection, instance_id)
        instance_keys.destroy(connection, instance_id)
        left = instance_keys.list_of_instance(connection, instance_id)
        certificate = Certificate(
            instance_id=instance_id,
            instance=found.instance_name,
            vault=f"{found.resource_group}/{found.vault_name}",
            server=found.server_name,
            shredded_at=now.format_iso(),
            keys=[
                ShreddedKey(
                    key_id=row["key_id"].hex(),
                    purpose=row["purpose"],
                    number=row["number"],
                    created_at=row["created_at"].format_iso(),
                )
                for row in rows
            ],
            points=points,
            objects_deleted=sorted(deleted),
            objects_left=[],
            keys_left=[row["key_id"].hex() for row in left],
        )
        signed = sign_certificate(means.keyring.signing, certificate)
        shreds.add(connection, instance_id, found.vault_id, now, signed)
        told = {"keys": [key.key_id for key in certificate.keys], "points": len(points)}
        audit.append(connection, now, "service", ("instance/shred", instance_id), told)
    log.info("instance.shredded", instance=instance_id, keys=len(rows), points=len(points))
    return signed
