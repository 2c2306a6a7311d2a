"""What stands in the way of a restore, or should be thought of before."""

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.resources import servers as catalog
from strongroom.control.restore.plan_known import Known
from strongroom.control.restore.plan_room import FileSystem, Sight
from strongroom.model.errors import from_dict
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.postgres import major_of
from strongroom.model.restore.restore_request import RestoreRequest
from strongroom.model.sizes import told_size
from strongroom.model.work.drill import PASSED, Drill
from strongroom.model.work.operation import ServerFacts
from strongroom.model.work.plan import Caution, RestorePlan

_OPEN_PUBLIC = 15  # since then nobody but the owner creates in "public"


def of(
    plan: RestorePlan,
    found: Protection,
    point: RecoveryPoint,
    asked: RestoreRequest,
    known: Known,
) -> list[Caution]:
    """All of them, the gravest first."""
    if asked.in_place:
        return [
            *_of_point(plan, point, asked),
            *_of_drill(known.drilled),
            *_of_own_directory(asked, known.sight),
            *_of_sight(found, known.sight),
        ]
    return [
        *_of_point(plan, point, asked),
        *_of_drill(known.drilled),
        *_of_places(asked, known.sight, known.disks),
        *_of_tablespaces(found, asked, known.sight),
        *_of_server(plan, asked, known.target),
        *_of_sight(found, known.sight),
    ]


def _of_point(plan: RestorePlan, point: RecoveryPoint, asked: RestoreRequest) -> Iterator[Caution]:
    for lost in point.facts.get("damaged", []):
        yield Caution(
            code="PointDamaged",
            message=f"the point is damaged: {lost} is not what was written",
            hint="choose another point: strongroom points NAME",
        )
    for path in point.facts.get("damaged_pages", {}):
        yield Caution(
            code="SourceDamaged",
            message=f"pages of {path} were damaged on the server's disk when it was backed up",
            hint="choose a point of before; the backup's job names the blocks",
        )
    for name in _wanted(asked):
        if plan.databases and name not in plan.databases:
            there = ", ".join(sorted(plan.databases))
            yield Caution(
                code="NoSuchDatabase",
                message=f"the point was taken without a database {name!r}: {there}",
            )


def _of_drill(drilled: Drill | None) -> Iterator[Caution]:
    if drilled is None or drilled.verdict == PASSED:
        return
    found = next(iter(drilled.result.get("problems", [])), "it is not what was backed up")
    when = drilled.ended_at.round("second").format_iso()
    yield Caution(
        code="DrillFailed",
        message=f"the last drill of this point failed, at {when}: {found}",
        hint="choose another point, or try this one again: strongroom drill",
    )


def _wanted(asked: RestoreRequest) -> list[str]:
    if asked.load is not None:
        return list(asked.load.databases)
    return [asked.part.database] if asked.part is not None and asked.part.database else []


def _of_places(asked: RestoreRequest, sight: Sight, disks: list[FileSystem]) -> Iterator[Caution]:
    place = sight.place(asked.target_directory)
    if place is not None and place.refused is not None:
        error = from_dict(place.refused)
        yield Caution(code=error.code, message=error.message, hint=error.hint)
    elif place is not None and place.state in {"filled", "other"}:
        what = "is not empty" if place.state == "filled" else "is no directory"
        yield Caution(
            code="TargetNotEmpty",
            message=f"{place.path} {what}: the restore will refuse it",
            hint="name a new or empty directory",
        )
    for disk in disks:
        if disk.free >= disk.needed:
            continue
        yield Caution(
            code="TargetTooSmall",
            message=f"{told_size(disk.needed)} are written to {disk.path}, "
            f"and {told_size(disk.free)} are free there",
            hint="make room, or name a directory on another disk",
        )


def _of_own_directory(asked: RestoreRequest, sight: Sight) -> Iterator[Caution]:
    yield Caution(
        code="Overwritten",
        message=f"{asked.target_directory} is overwritten: what differs from the point is lost",
        hint="--to-dir DIR without --in-place restores into a new directory",
    )
    place = sight.place(asked.target_directory)
    if place is not None and place.runs is not None:
        error = from_dict(place.runs)
        message = f"{error.message}: the restore will refuse it"
        yield Caution(code="ServerRuns", message=message, hint=error.hint)
    if place is not None and place.refused is not None:
        error = from_dict(place.refused)
        yield Caution(code=error.code, message=error.message, hint=error.hint)
    elif place is not None and place.state in {"absent", "empty"}:
        yield Caution(
            code="NoDataDirectory",
            message=f"{place.path} is {place.state}: there is nothing to restore over",
            hint="restore into it without --in-place",
        )


def _of_tablespaces(found: Protection, asked: RestoreRequest, sight: Sight) -> Iterator[Caution]:
    if asked.part is not None or asked.load is not None:
        return
    located: dict[str, str] = found.server_facts.get("tablespaces") or {}
    there = ", ".join(sorted(located.values()))
    for old in sorted(asked.tablespaces.keys() - set(located.values())):
        yield Caution(
            code="NoSuchTablespace",
            message=f"{found.server_name} has no tablespace in {old}: nothing is moved from there",
            hint=f"what it has lies in {there}" if there else "it has none at all",
        )
    for old in sorted(located.values()):
        new = asked.tablespaces.get(old, old)
        place = sight.place(new)
        filled = place is not None and place.state in {"filled", "other"}
        if new == old:
            now = "is not empty" if filled else "must be empty"
            yield Caution(
                code="TablespaceUnmapped",
                message=f"tablespace {old} goes back to its own place, which {now}",
                hint=f"--tablespace {old}=NEW moves it",
            )
        elif filled:
            yield Caution(
                code="TargetNotEmpty",
                message=f"{new}, for tablespace {old}, is not empty: the restore will refuse it",
                hint="name a new or empty directory",
            )


def target_server(
    connection: sa.Connection, found: Protection, asked: RestoreRequest
) -> ServerFacts | None:
    """What its agent last said of the server that is loaded; None when none is."""
    if asked.load is not None:
        agent, name = asked.load.agent_id, asked.load.agent_server
    elif asked.part is not None and asked.part.target_server:
        agent, name = found.agent_id, asked.part.target_server
    else:
        return None
    row = catalog.of_agent(connection, agent, name)
    told: dict[str, Any] = row["facts"] if row is not None else {}
    return msgspec.convert(told, ServerFacts) if told else None


def _of_server(
    plan: RestorePlan, asked: RestoreRequest, target: ServerFacts | None
) -> Iterator[Caution]:
    if target is None or not target.version_number:
        return
    source, there = major_of(plan.version_number), major_of(target.version_number)
    if there < source:
        yield Caution(
            code="MajorMismatch",
            message=f"{plan.target} is PostgreSQL {there}, the point is of {source}",
            hint="load it into a server of the same major version or a newer one",
        )
    if source < _OPEN_PUBLIC <= there:
        yield Caution(
            code="PublicSchemaClosed",
            message=f"until PostgreSQL {_OPEN_PUBLIC - 1} everybody could create in schema "
            f"public; in {plan.target}, of {there}, only its owner can",
            hint="grant create on schema public to those who need it",
        )
    yield from _of_names(plan, asked, target)


def _of_names(plan: RestorePlan, asked: RestoreRequest, target: ServerFacts) -> Iterator[Caution]:
    if asked.load is not None:
        names = list(asked.load.databases.values()) or sorted(plan.databases)
    elif asked.part is not None and not asked.part.table:
        names = [asked.part.rename or asked.part.database]
    else:
        return
    for name in names:
        if name in target.databases and name != "postgres":
            yield Caution(
                code="DatabaseThere",
                message=f"{plan.target} has a database {name} already",
                hint="load it under another name: --rename",
            )


def _of_sight(found: Protection, sight: Sight) -> Iterator[Caution]:
    if sight.wanted and sight.seen is None:
        why = "did not answer at once" if sight.asked_for else "has not been heard of lately"
        yield Caution(
            code="TargetUnseen",
            message=f"the agent of {found.server_name} {why}: nobody has looked at its disks",
            hint="see that it runs: strongroom status; plan again when it is not busy",
        )
