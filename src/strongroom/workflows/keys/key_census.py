"""A census of keys: every key that a live point needs opens, here and with the recovery key.

Which keys a point needs its own objects say, in the headers of its manifest and of its packs; what
was once read is kept with the point. The catalogue is what is examined, so it is not asked.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import structlog

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points, storage_findings
from strongroom.catalog.protection import instance_keys
from strongroom.control.basis import long_running
from strongroom.datastore.care.garbage import Unreadable, read_receipt
from strongroom.datastore.packs.pack import FIXED_SIZE, sealed_to
from strongroom.datastore.places.blobs import Blobs
from strongroom.durable.engine import Story
from strongroom.model.errors import Corrupt, ObjectMissing, VaultError, WrongKey
from strongroom.model.ids import InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.workflows.basis.means import Means
from strongroom.workflows.keys import escrow
from strongroom.workflows.keys.rotation import fail

KIND = "key"
_FACT = "keys"
_SIDE_BY_SIDE = 8

log = structlog.get_logger()


def examine_keys(means: Means, story: Story, instance_id: str, operation_id: str) -> None:
    """The durable story of a census that somebody asks for."""
    try:
        story.step("check", check_keys, means, InstanceId(instance_id))
        story.step("end", _end, means, operation_id)
    except VaultError as error:
        story.step("fail", fail, means, operation_id, error.to_dict())


def _end(means: Means, operation_id: str) -> None:
    control = means.control
    with control.database.writing() as connection:
        long_running.end_operation(connection, operation_id, control.clock.now(), result={})


def check_keys(means: Means, instance_id: InstanceId) -> dict[str, str]:
    """Key id -> what is wrong with it; an alarm for each that is new. Safe twice.

    Raises StoreError when storage, or the program that unwraps keys, cannot be asked.
    """
    control = means.control
    with control.database.reading() as connection:
        points = recovery_points.list_of_instance(connection, instance_id)
        rows = instance_keys.list_of_instance(connection, instance_id)
    known = {row["key_id"].hex() for row in rows}
    needed = _needed(means, instance_id, points)
    sound = escrow.sound_names(means, instance_id)
    problems: dict[str, str] = {}
    for key in sorted(known | needed.keys()) if points else ():
        found = list(_problems(means, instance_id, key, sound))
        if found:
            count = len(needed.get(key, []))
            problems[key] = f"{'; '.join(found)}: {count} recovery points need it"
    _tell(means, instance_id, problems)
    return problems


def _needed(
    means: Means, instance_id: InstanceId, points: Iterable[RecoveryPoint]
) -> dict[str, list[str]]:
    """Key id -> the live points that need it. One of which storage cannot tell needs none."""
    found: dict[str, list[str]] = {}
    seen: dict[str, str] = {}  # object -> key id, of the points looked at in this pass
    for point in sorted(points, key=lambda each: each.taken_at):
        known = point.facts.get(_FACT)
        for key in _read(means, instance_id, point.id, seen) if known is None else known:
            found.setdefault(key, []).append(point.id)
    return found


def keys_of_point(means: Means, instance_id: str, point: str) -> list[str]:
    """The ids (hex) of the keys that a point needs, as far as its objects tell."""
    with means.control.database.reading() as connection:
        known: list[str] | None = recovery_points.facts_of(connection, point).get(_FACT)
    return _read(means, instance_id, point, {}) if known is None else known


def _read(means: Means, instance_id: str, point: str, seen: dict[str, str]) -> list[str]:
    """The ids in the headers of all its objects. What damage hides, the other censuses tell."""
    blobs = means.storage.container(instance_id)
    try:
        receipt = read_receipt(blobs, means.keyring.signing.public, f"p/{point}.receipt")
    except Unreadable:
        return []
    names = [f"p/{point}.manifest", *(pack.name for pack in receipt.packs)]
    wanted = [name for name in names if name not in seen]
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="key-census") as pool:
        told = pool.map(lambda name: _key_of(blobs, name), wanted)
        seen |= dict(zip(wanted, told, strict=True))
    keys = sorted({seen[name] for name in names} - {""})
    if all(seen[name] for name in names):
        with means.control.database.writing() as connection:
            recovery_points.note_facts(connection, point, {_FACT: keys})
    return keys


def _key_of(blobs: Blobs, name: str) -> str:
    try:
        return sealed_to(blobs.read_range(name, 0, FIXED_SIZE)).hex()
    except (ObjectMissing, Corrupt):
        return ""


def _problems(means: Means, instance_id: str, key: str, sound: set[str]) -> Iterator[str]:
    """What is wrong with one key, in the catalogue and in storage."""
    key_id = bytes.fromhex(key)
    names = means.keyring.escrow_names(key_id)
    lost = sound.isdisjoint(names)
    if lost:
        yield f"no whole {names[0]} was in storage for the recovery key"
    try:
        pair = means.keyring.pair_of(instance_id, key_id)
    except WrongKey as error:
        yield error.message
        return
    if lost:
        with means.control.database.reading() as connection:
            row = instance_keys.by_id(connection, instance_id, key_id)
        if row is not None:
            escrow.put_again(means, row, pair)


def _tell(means: Means, instance_id: str, problems: dict[str, str]) -> None:
    control = means.control
    with control.database.writing() as connection:
        now = control.clock.now()
        new = storage_findings.replace(connection, instance_id, KIND, problems, now)
        for key in new:
            told = {"instance": instance_id, "problem": problems[key]}
            audit.append(connection, now, "service", ("key/alarm", key), told)
    for key in new:
        log.error("key.alarm", instance=instance_id, key=key, why=problems[key])
