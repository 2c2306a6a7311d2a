"""A catalogue from storage and the recovery kit, and one that was restored from an older copy.

Nothing that lies in storage is changed, and no row goes. Settings come from the newest snapshot,
if it is ahead of the audit. Then the audit goes on behind a gap (`control/oversight/audit_gaps`):
no number is given twice. Keys come from beside the data, points from their receipts, drills from
their evidence, the index of the log from the log, holds from the storage endpoint's own book. Safe
twice, broken off anywhere.
"""

import base64
import re
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from blake3 import blake3
from whenever import Instant

from strongroom.catalog import snapshots
from strongroom.catalog.oversight import audit
from strongroom.catalog.points import holds, recovery_points
from strongroom.catalog.protection import deletions, instance_keys, instances, protection
from strongroom.control.oversight import audit_gaps
from strongroom.control.protection import scheduling
from strongroom.datastore.keys.keys import RecoveryKey, open_instance_key
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.rescue.snapshot import Snapshot, open_snapshot
from strongroom.model.errors import Corrupt, ObjectMissing, VaultError, WrongKey
from strongroom.model.ids import InstanceId
from strongroom.model.oversight.audit_gap import Gap
from strongroom.model.points.hold import HELD
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.protection_state import CONFIGURING, FAILED
from strongroom.workflows.basis.keyring import bound_to
from strongroom.workflows.basis.means import Means
from strongroom.workflows.proof.census import take_census
from strongroom.workflows.proof.learnt_drills import learn_drills
from strongroom.workflows.rebuild.snapshots import container_of, names_of
from strongroom.workflows.wal.log_index import LogReading, index_log

_INSTANCE = re.compile(r"[0-9a-f]{32}")
_SEALED = re.compile(r"k/([0-9a-f]{32})(\.[0-9a-f]{32})?\.key")

log = structlog.get_logger()


class Rebuilt(msgspec.Struct, kw_only=True, rename="camel"):
    """What was found, and what a person has to look at still."""

    snapshot: int | None = None  # the number of the audit record up to which settings are known
    settings: dict[str, int] = {}  # table -> rows that were new or others
    instances: int = 0
    keys: int = 0  # that were not in the catalogue
    points: int = 0  # that were not in the catalogue
    drills: int = 0  # that were not in the catalogue
    log_ranges: int = 0  # that were not in the catalogue
    holds: list[str] = []  # ids in storage's own book that no row had named
    gap: Gap | None = None
    unknown: list[str] = []  # containers of instances that nobody knows
    problems: list[str] = []


def rebuild(
    means: Means, recovery: RecoveryKey | None, actor: str, reading: LogReading
) -> Rebuilt:
    """Without the recovery key no settings and no keys are learnt. Raises StoreError."""
    control, found = means.control, Rebuilt()
    newest = None if recovery is None else newest_snapshot(means, recovery)
    with control.database.reading() as connection:
        head, _ = audit.head(connection)
    if newest is not None and (newest.sequence > head or head == 0):
        found.snapshot = newest.sequence
        found.settings = _lay(means, newest)
    found.gap = audit_gaps.go_on(control, actor)
    with control.database.reading() as connection:
        known = instances.list_ids(connection)
    for instance_id in known:
        _learn(means, recovery, instance_id, newest, found)
        _learn_log(means, instance_id, reading, found)
    found.instances = len(known)
    there = {name for name in means.storage.containers() if _INSTANCE.fullmatch(name)}
    found.unknown = [n for n in sorted(there - set(known)) if _has_points(means, n)]
    told = msgspec.to_builtins(found)
    with control.database.writing() as connection:
        what = ("catalogue/rebuild", f"/subscriptions/{control.installation.subscription_id}")
        audit.append(connection, control.clock.now(), actor, what, told)
    return found


def _has_points(means: Means, container: str) -> bool:
    return any(True for _ in means.storage.container(container).list("p/"))


def newest_snapshot(means: Means, recovery: RecoveryKey) -> Snapshot | None:
    """The newest that this key opens and this installation has signed."""
    installation = means.control.installation.tenant_id
    return open_newest(means.storage.container(container_of(installation)), recovery)


def open_newest(blobs: Blobs, recovery: RecoveryKey) -> Snapshot | None:
    """Of a container of snapshots. One that does not open is passed over, and logged."""
    for name in reversed(names_of(blobs)):
        try:
            return open_snapshot(recovery, blobs.read(name))
        except (WrongKey, Corrupt, ObjectMissing) as error:
            log.warning("snapshot.unreadable", name=name, why=error.message)
    return None


def _lay(means: Means, newest: Snapshot) -> dict[str, int]:
    """The settings. What was being configured has no story any more: it is asked for again."""
    with means.control.database.writing() as connection:
        counts = snapshots.lay(connection, newest.tables)
        for row in newest.tables["instances"]:
            if row["state"] == CONFIGURING:
                protection.set_state(connection, row["id"], FAILED, _asked_again().to_dict())
        _drop_taken_back(connection, newest)
    return counts


def _asked_again() -> VaultError:
    return Corrupt(
        "the catalogue was lost while this was being configured",
        hint="protect the server again, under the same name",
    )


def _drop_taken_back(connection: sa.Connection, newest: Snapshot) -> None:
    """Deletions of what the newer settings have back: else it would be purged."""
    deleted = {row["id"] for row in newest.tables["deletions"]}
    for name in ("instances", "vaults"):
        for row in newest.tables[name]:
            if row["id"] not in deleted:
                deletions.drop(connection, row["id"])


def _learn(
    means: Means,
    recovery: RecoveryKey | None,
    instance_id: InstanceId,
    newest: Snapshot | None,
    found: Rebuilt,
) -> None:
    """Keys, points and holds of one instance; what fails is told, and holds up no other."""
    try:
        if recovery is not None:
            found.keys += _bring_keys(means, recovery, instance_id, newest)
        found.points += len(take_census(means, instance_id, reread=False))
        found.holds += _bring_holds(means, instance_id)
        _learn_drills(means, instance_id, newest, found)
        _settle(means, instance_id)
    except VaultError as error:
        found.problems.append(f"{instance_id}: {error.message}")


def _learn_drills(
    means: Means, instance_id: InstanceId, newest: Snapshot | None, found: Rebuilt
) -> None:
    laid = newest is not None and found.snapshot is not None
    since = Instant.parse_iso(newest.at) if newest is not None and laid else None
    count, problems = learn_drills(means, instance_id, since)
    found.drills += count
    found.problems += [f"{instance_id}: {problem}" for problem in problems]


def _learn_log(means: Means, instance_id: InstanceId, reading: LogReading, found: Rebuilt) -> None:
    try:
        told = index_log(means, instance_id, reading)
    except VaultError as error:
        found.problems.append(f"{instance_id}: its log is not known: {error.message}")
        return
    found.log_ranges += told.ranges
    if told.gone:
        gone = f"{told.gone} ranges of log are not in storage any more"
        found.problems.append(f"{instance_id}: {gone}")
    found.problems += [f"{instance_id}: {problem}" for problem in told.problems]


def _bring_keys(
    means: Means, recovery: RecoveryKey, instance_id: InstanceId, newest: Snapshot | None
) -> int:
    """Every pair beneath `k/` that the catalogue has not, or that its own copy does not open any

    more: the key-encryption key was lost. Those that nobody numbered come last.
    """
    control, blobs = means.control, means.storage.container(instance_id)
    rows = newest.tables["instance_keys"] if newest is not None else []
    told = {base64.b64decode(row["key_id"]): row for row in rows}
    with control.database.reading() as connection:
        rows_there = instance_keys.list_of_instance(connection, instance_id)
    shut = {row["key_id"]: row["sealed_private"] for row in rows_there if not _opens(means, row)}
    there = {row["key_id"] for row in rows_there} - shut.keys()
    missing = [key for key in _sealed_keys(blobs) if key not in there]
    for key_id in sorted(missing, key=lambda key: told[key]["number"] if key in told else 1 << 30):
        purpose, pair, digest = _open(blobs, recovery, key_id)
        sealed = means.keyring.kek.seal(pair.to_bytes(), bound_to(instance_id, purpose))
        with control.database.writing() as connection:
            if key_id in shut:
                instance_keys.reseal(connection, key_id, shut[key_id], sealed)
                continue
            pairs = instance_keys.list_of_purpose(connection, instance_id, purpose)
            number = max((row["number"] for row in pairs), default=0) + 1
            row = {
                "key_id": key_id,
                "instance_id": instance_id,
                "purpose": purpose,
                "number": told[key_id]["number"] if key_id in told else number,
                "public_key": pair.public.to_bytes(),
                "sealed_private": sealed,
                "escrow": digest,
                "created_at": control.clock.now(),
            }
            instance_keys.add(connection, row)
    return len(missing)


def _opens(means: Means, row: sa.RowMapping) -> bool:
    try:
        means.keyring.opened(row)
    except WrongKey:
        return False
    return True


def _sealed_keys(blobs: Blobs) -> list[bytes]:
    """Their ids, whichever recovery key they are sealed to."""
    try:
        found = [_SEALED.fullmatch(name) for name, _ in blobs.list("k/")]
    except ObjectMissing:  # its protection was never set up: there is no container
        return []
    return sorted({bytes.fromhex(match[1]) for match in found if match is not None})


def _open(blobs: Blobs, recovery: RecoveryKey, key_id: bytes) -> tuple[str, KeyPair, bytes]:
    """(purpose, pair, BLAKE3 of its object)."""
    later = recovery.pair.public.key_id
    for name in (f"k/{key_id.hex()}.{later.hex()}.key", f"k/{key_id.hex()}.key"):
        try:
            sealed = blobs.read(name)
        except ObjectMissing:
            continue
        told = open_instance_key(recovery.pair, key_id, sealed)
        return told.purpose, KeyPair.from_bytes(told.secret), blake3(sealed).digest()
    raise ObjectMissing(f"the key {key_id.hex()} is not sealed to this recovery key")


def _bring_holds(means: Means, instance_id: InstanceId) -> list[str]:
    """Those in storage's own book that no row names: they get one, so that they can be seen."""
    names: dict[str, list[str]] = {}
    for name, hold in means.storage.inventory(instance_id).holds():
        names.setdefault(hold, []).append(name)
    control = means.control
    with control.database.writing() as connection:
        known = {row["id"] for row in holds.list_of_instance(connection, instance_id)}
        new = sorted(hold for hold in names if hold not in known)
        for hold in new:
            row: dict[str, Any] = {"id": hold, "instance_id": instance_id, "point_id": None}
            row |= {"name": f"found-{hold[:32]}", "name_key": f"found-{hold[:32]}".lower()}
            row |= {"reason": "it was in storage's own book alone when the catalogue was rebuilt"}
            row |= {"names": sorted(names[hold]), "state": HELD}
            holds.add(connection, {**row, "set_by": "unknown", "set_at": control.clock.now()})
    return new


def _settle(means: Means, instance_id: InstanceId) -> None:
    """Points that were deleted are so still; backups begin again by the clock."""
    control = means.control
    with control.database.writing() as connection:
        points = recovery_points.list_of_instance(connection, instance_id)
        for deleted in deletions.of(connection, [point.id for point in points]):
            recovery_points.set_state(connection, deleted, recovery_points.SOFT_DELETED)
        policy = parse_policy(protection.by_id(connection, instance_id).policy)
        scheduling.plan_instance(control, connection, instance_id, policy)
