"""What was deleted goes for good, once its time is over and nothing keeps it.

A purge begins in one transaction, which looks for holds, jobs and locks, and from which there is
no way back. Then storage is emptied, receipts first: without its receipt a manifest is no point,
and packs that no receipt names are garbage. What storage keeps is asked for again in the next
pass. Last the catalogue forgets; the audit keeps its records. Safe twice, broken off anywhere.
"""

from collections.abc import Callable, Sequence
from functools import partial

import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import holds, recovery_points
from strongroom.catalog.protection import deletions, instances, removal
from strongroom.catalog.protection.deletions import INSTANCE, POINT, VAULT, Kind
from strongroom.catalog.resources import vaults as vault_rows
from strongroom.catalog.work import jobs
from strongroom.control.overview import bills
from strongroom.control.resources import deleted_vaults
from strongroom.durable.engine import Story
from strongroom.model.errors import Locked, ObjectMissing, VaultError
from strongroom.model.ids import InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.resources.vault import immutability_of
from strongroom.workflows.basis.means import Means
from strongroom.workflows.keys.shred import shred

WARN_HOURS = 48  # before it is purged

log = structlog.get_logger()


def purge_due(means: Means) -> None:
    """One pass over all that was deleted. One that fails is logged, and holds up no other."""
    _warn(means)
    kinds: tuple[tuple[Kind, Callable[[Means, str], bool]], ...] = (
        (POINT, purge_point),
        (INSTANCE, purge_instance),
        (VAULT, purge_vault),
    )
    for kind, act in kinds:
        with means.control.database.reading() as connection:
            due = deletions.due(connection, kind, means.control.earliest())
        for row in due:
            _attempt(row, partial(act, means))


def _attempt(row: sa.RowMapping, act: Callable[[str], bool]) -> None:
    try:
        act(row["id"])
    except VaultError as error:
        told = {"code": error.code, "message": error.message}
        log.warning("purge.failed", kind=row["kind"], id=row["id"], **told)


def purge(means: Means, story: Story, thing: str) -> None:
    """The durable story behind a deletion in a vault without soft delete."""
    story.step("purge", _purge_now, means, thing)


def _purge_now(means: Means, thing: str) -> None:
    with means.control.database.reading() as connection:
        row = deletions.find(connection, thing)
    if row is not None:
        act = {POINT: purge_point, INSTANCE: purge_instance, VAULT: purge_vault}[row["kind"]]
        act(means, thing)


def _warn(means: Means) -> None:
    """Two days before, once: in the audit and in the log."""
    control = means.control
    now = control.clock.now()
    with control.database.writing() as connection:
        for row in deletions.unwarned(connection, now.add(hours=WARN_HOURS)):
            told = {"kind": row["kind"], "purge": row["purge_at"].format_iso()}
            if row["purge_at"] > row["deleted_at"]:
                audit.append(connection, now, "service", ("purge/upcoming", row["id"]), told)
                log.warning("purge.upcoming", id=row["id"], **told)
            deletions.note_warned(connection, row["id"], now)


def purge_point(means: Means, point_id: str) -> bool:
    """One soft-deleted point; whether it is gone."""
    control = means.control
    with control.database.writing() as connection:
        deletion = deletions.find(connection, point_id)
        if deletion is None:
            return True
        instance_id = recovery_points.instance_of(connection, point_id)
        if not deletion["begun"]:
            points = recovery_points.list_of_instance(
                connection, instance_id, recovery_points.SOFT_DELETED
            )
            mine = [point for point in points if point.id == point_id]
            if not _may_begin(means, connection, instance_id, mine, deletion):
                return False
            recovery_points.set_state(connection, point_id, recovery_points.PURGING)
    return _take_away(means, instance_id, point_id)


def purge_instance(means: Means, instance_id: str) -> bool:
    """An instance with all that it has; whether it is gone."""
    control, found = means.control, InstanceId(instance_id)
    ending = recovery_points.PURGING, recovery_points.EXPIRED
    with control.database.writing() as connection:
        deletion = deletions.find(connection, instance_id)
        if deletion is None:
            return True
        if not deletion["begun"]:
            states = recovery_points.COMPLETED, recovery_points.SOFT_DELETED
            points = recovery_points.list_of_instance(connection, found, *states)
            if not _may_begin(means, connection, found, points, deletion):
                return False
            for point in points:
                recovery_points.set_state(connection, point.id, recovery_points.PURGING)
        left = [p.id for p in recovery_points.list_of_instance(connection, found, *ending)]
    if not _is_shredded(means, found):
        return False
    gone = [_take_away(means, found, point) for point in left]
    if not all(gone) or not _empty(means, instance_id):
        return False
    with control.database.writing() as connection:
        deletions.drop(connection, instance_id)
        bills.note_bills(control, connection, instance_id, gone=True)
        removal.remove_instance(connection, instance_id)
    log.info("instance.purged", instance=instance_id)
    return True


def _is_shredded(means: Means, instance_id: InstanceId) -> bool:
    """Its keys go first: whatever storage keeps of the rest is noise from then on."""
    try:
        shred(means, instance_id)
    except Locked as error:
        log.info("instance.retained", instance=instance_id, why=error.message)
        return False
    return True


def purge_vault(means: Means, vault_id: str) -> bool:
    """A vault, once its instances are gone; whether it is."""
    control = means.control
    with control.database.writing() as connection:
        deletion, vault = (
            deletions.find(connection, vault_id),
            vault_rows.by_id(connection, vault_id),
        )
        if deletion is None or vault is None:
            return True
        if instances.list_ids(connection, vault_id):
            return False
        _record(means, connection, deletion)
        deleted_vaults.remove(connection, vault)
    log.info("vault.purged", vault=vault_id)
    return True


def _may_begin(
    means: Means,
    connection: sa.Connection,
    instance_id: InstanceId,
    points: Sequence[RecoveryPoint],
    deletion: sa.RowMapping,
) -> bool:
    """In the transaction that begins: nothing keeps any of it. Why not is in the log."""
    now = means.control.earliest()
    why = _why_not(connection, instance_id, points, now)
    if why:
        log.info("purge.waits", kind=deletion["kind"], id=deletion["id"], why=why)
        return False
    deletions.begin(connection, deletion["id"])
    _record(means, connection, deletion)
    return True


def _record(means: Means, connection: sa.Connection, deletion: sa.RowMapping) -> None:
    what = {INSTANCE: "instance", POINT: "recoveryPoint", VAULT: "vault"}[deletion["kind"]]
    told = {"deleted": deletion["deleted_at"].format_iso(), "by": deletion["deleted_by"]}
    now = means.control.clock.now()
    audit.append(connection, now, "service", (f"{what}/purge", deletion["id"]), told)


def _why_not(
    connection: sa.Connection,
    instance_id: InstanceId,
    points: Sequence[RecoveryPoint],
    now: Instant,
) -> str:
    if holds.names_on(connection, instance_id, ["", *(point.id for point in points)]):
        return "a legal hold keeps it"
    if jobs.is_busy(connection, instance_id):
        return "a job is under way that may need it"
    vault = vault_rows.of_instance(connection, instance_id)
    last = max((point.expires_at for point in points), default=now)
    if immutability_of(vault["properties"]) != "Disabled" and last > now:
        return f"the vault is immutable, and it is kept until {last.format_iso()}"
    return ""


def _take_away(means: Means, instance_id: InstanceId, point: str) -> bool:
    """Receipt, then manifest; whether both are gone. What of it is locked stays."""
    view = means.storage.account_view(instance_id)
    for name in (f"p/{point}.receipt", f"p/{point}.manifest"):
        if not view.delete(name):
            log.info("recovery_point.retained", instance=instance_id, point=point, name=name)
            return False
    with means.control.database.writing() as connection:
        recovery_points.set_state(connection, point, recovery_points.DELETED)
        deletions.drop(connection, point)
    log.info("recovery_point.purged", instance=instance_id, point=point)
    return True


def _empty(means: Means, instance_id: str) -> bool:
    """Everything out of its container, its sealed keys last, then the container; whether it is

    gone.
    """
    try:
        names = [name for name, _ in means.storage.container(instance_id).list("")]
    except ObjectMissing:  # its protection was never set up: there is no container
        return True
    view = means.storage.account_view(instance_id)
    data = sorted(name for name in names if "/" in name and not name.startswith("k/"))
    kept = [name for name in data if not view.delete(name)]
    if not kept:
        kept = [name for name in sorted(set(names) - set(data)) if not view.delete(name)]
    if kept:
        log.info("instance.retained", instance=instance_id, objects=len(kept), first=kept[0])
        return False
    if not means.storage.inventory(instance_id).remove():
        log.info("instance.retained", instance=instance_id, objects=0)
        return False
    return True
