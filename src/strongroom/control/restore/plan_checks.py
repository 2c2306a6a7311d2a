"""What was looked at and is well, as evidence beside the warnings of a plan."""

from collections.abc import Iterator

from strongroom.control.restore.plan_known import Known
from strongroom.control.restore.plan_room import FileSystem, Sight
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.postgres import major_of
from strongroom.model.restore.restore_request import RestoreRequest
from strongroom.model.work.drill import PASSED, Drill
from strongroom.model.work.operation import ServerFacts
from strongroom.model.work.plan import Check, RestorePlan


def of(
    plan: RestorePlan,
    point: RecoveryPoint,
    asked: RestoreRequest,
    known: Known,
) -> list[Check]:
    """All of them, what says most of the bytes first."""
    return [
        *_of_point(point, known.drilled),
        *_of_place(asked, known.sight, known.disks),
        *_of_server(plan, known.target),
    ]


def _of_point(point: RecoveryPoint, drilled: Drill | None) -> Iterator[Check]:
    if point.facts.get("damaged"):
        return
    passed = drilled if drilled is not None and drilled.verdict == PASSED else None
    if passed is not None:
        told = "this point was restored and compared in a drill"
        yield Check(code="Drilled", message=told, at=passed.ended_at.format_iso())
    if read := point.facts.get("verified_at"):
        yield Check(code="Verified", message="every byte of it was read again", at=str(read))
    elif passed is None:
        stored = point.committed_at.round("second").format_iso()
        yield Check(code="ReadBack", message="it was read back when it was stored", at=stored)


def _of_place(asked: RestoreRequest, sight: Sight, disks: list[FileSystem]) -> Iterator[Check]:
    if asked.in_place:
        return
    place = sight.place(asked.target_directory)
    if place is not None and place.refused is None and place.state in {"absent", "empty"}:
        how = "is empty" if place.state == "empty" else "is not there yet: it is made"
        yield Check(code="TargetEmpty", message=f"{place.path} {how}")
    if disks and all(disk.free >= disk.needed for disk in disks):
        yield Check(code="TargetRoom", message="there is room for it")


def _of_server(plan: RestorePlan, target: ServerFacts | None) -> Iterator[Check]:
    if target is None or not target.version_number:
        return
    there = major_of(target.version_number)
    if there >= major_of(plan.version_number):
        yield Check(code="TargetMajor", message=f"{plan.target} is PostgreSQL {there}: it fits")
