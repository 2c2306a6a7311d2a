"""What the store's scrub found damaged, told of every recovery point that needs it."""

import structlog

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points, storage_findings
from strongroom.datastore.care.garbage import Unreadable, read_receipt
from strongroom.datastore.statements.receipt import Receipt
from strongroom.model.ids import InstanceId, RecoveryPointId
from strongroom.workflows.basis.means import Means

log = structlog.get_logger()


def ask_for_damage(means: Means, instance_id: str) -> list[RecoveryPointId]:
    """Mark the points whose receipts name what is damaged, once; returns those newly marked.

    Nothing but a look at the whole point takes the mark away.
    """
    damaged = means.storage.account_view(instance_id).damaged()
    problems = dict.fromkeys(damaged, "its bytes are not those that were written")
    control = means.control
    with control.database.writing() as connection:
        now = control.clock.now()
        new = storage_findings.replace(connection, instance_id, "damaged", problems, now)
    for name in new:
        log.error("storage.damaged", instance=instance_id, name=name)
    return mark(means, instance_id, damaged) if damaged else []


def mark(means: Means, instance_id: str, damaged: list[str]) -> list[RecoveryPointId]:
    """Write the fact `damaged` (names of objects) to every point that needs one of them."""
    control, marked = means.control, []
    with control.database.reading() as connection:
        states = recovery_points.COMPLETED, recovery_points.SOFT_DELETED
        points = recovery_points.list_of_instance(connection, InstanceId(instance_id), *states)
    for point in sorted(point.id for point in points):
        needs = sorted(set(damaged) & _needed(means, instance_id, point))
        if not needs:
            continue
        with control.database.writing() as connection:
            found = recovery_points.facts_of(connection, point)
            if set(needs) <= set(found.get("damaged", [])):
                continue
            names = sorted({*needs, *found.get("damaged", [])})
            recovery_points.note_facts(connection, point, {"damaged": names})
            told = {"objects": names}
            what = ("recoveryPoint/damaged", point)
            audit.append(connection, control.clock.now(), "service", what, told)
        log.error("recovery_point.damaged", instance=instance_id, point=point, objects=names)
        marked.append(RecoveryPointId(point))
    return marked


def _needed(means: Means, instance_id: str, point: str) -> set[str]:
    """All objects of a point; of one whose receipt or manifest is broken, those two."""
    own = {f"p/{point}.receipt", f"p/{point}.manifest"}
    blobs = means.storage.container(instance_id)
    try:
        receipt: Receipt = read_receipt(blobs, means.keyring.signing.public, f"p/{point}.receipt")
    except Unreadable:
        return own
    return own | {pack.name for pack in receipt.packs}
