"""What was looked at and is well, as evidence beside the warnings of a plan."""

from collections.abc import Iterator

import sqlalchemy as sa

from strongroom.catalog import drills
from strongroom.control.restore.plan_warnings import Sight
from strongroom.model.operation import ServerFacts
from strongroom.model.plan import Check, RestorePlan
from strongroom.model.postgres import major_of
from strongroom.model.recovery_point import RecoveryPoint
from strongroom.model.restore_request import RestoreRequest


def of(
    connection: sa.Connection,
    plan: RestorePlan,
    point: RecoveryPoint,
    asked: RestoreRequest,
    sight: Sight,
    target: ServerFacts | None,
) -> list[Check]:
    """All of them, what says most of the bytes first."""
    return [
        *_of_point(connection, point),
        *_of_place(plan, asked, sight),
        *_of_server(plan, target),
    ]


def _of_point(connection: sa.Connection, point: RecoveryPoint) -> Iterator[Check]:
    if point.facts.get("damaged"):
        return
    drilled = drills.last_passed(connection, point.id)
    if drilled is not None:
        told = "this point was restored and compared in a drill"
        yield Check(code="Drilled", message=told, at=drilled.format_iso())
    if read := point.facts.get("verified_at"):
        yield Check(code="Verified", message="every byte of it was read again", at=str(read))
    elif drilled is None:
        stored = point.committed_at.round("second").format_iso()
        yield Check(code="ReadBack", message="it was read back when it was stored", at=stored)


def _of_place(plan: RestorePlan, asked: RestoreRequest, sight: Sight) -> Iterator[Check]:
    if asked.in_place:
        return
    place = sight.place(asked.target_directory)
    if place is not None and place.refused is None and place.state in {"absent", "empty"}:
        how = "is empty" if place.state == "empty" else "is not there yet: it is made"
        yield Check(code="TargetEmpty", message=f"{place.path} {how}")
    if plan.free_bytes is not None and plan.free_bytes >= plan.write_bytes:
        yield Check(code="TargetRoom", message="there is room for it")


def _of_server(plan: RestorePlan, target: ServerFacts | None) -> Iterator[Check]:
    if target is None or not target.version_number:
        return
    there = major_of(target.version_number)
    if there >= major_of(plan.version_number):
        yield Check(code="TargetMajor", message=f"{plan.target} is PostgreSQL {there}: it fits")
