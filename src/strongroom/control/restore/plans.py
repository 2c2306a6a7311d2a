"""Plan a restore: what it would read, write and take, and what stands in its way. Changes nothing.

The agent is asked to look at the target; a plan does not wait for one that is busy or away.
"""

from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from strongroom.catalog.points import drills
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.work import agent_operations
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.resources import servers
from strongroom.control.restore import plan_checks, plan_warnings, restores
from strongroom.control.restore.plan_cost import changed_since, cost_of, time_of, wal_bytes_of
from strongroom.control.restore.plan_known import Known
from strongroom.control.restore.plan_room import Sight, file_systems_of
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.identities.access import Caller
from strongroom.model.ids import AgentId, uuid4
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.restore.restore_request import RestoreRequest
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.plan import LookOrder, LookResult, RestorePlan

LOOK_SECONDS = 10.0  # an agent that is idle answers at once


class Looking(Protocol):
    """What an agent may have been asked to look for; `look` is empty where nobody was."""

    look: str


class Question(msgspec.Struct, kw_only=True):
    """A plan that is being made; `look` is what the agent was asked, empty when it was not."""

    found: Protection
    point: RecoveryPoint
    asked: RestoreRequest
    look: str = ""


def begin_plan(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    request: dict[str, Any],
) -> Question:
    """Examine the request as a restore would be, and ask the agent to look. Raises as restores."""
    with control.database.writing() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, restores.VALIDATE, scope)
        found, point, asked = restores.examine(
            control, connection, caller, (vault, instance_name), request, placed=False
        )
        question = Question(found=found, point=point, asked=asked)
        places = places_of(question)
        if places is not None and is_heard(control, connection, found):
            question.look = str(uuid4(control.chance))
            order = msgspec.to_builtins(LookOrder(places=places))
            offer_look(control, connection, question.look, found.agent_id, order)
    control.offered.ring(AgentId(found.agent_id))
    return question


def places_of(question: Question) -> list[str] | None:
    """What the agent looks at; None when nothing is written on its disks."""
    asked = question.asked
    if asked.load is not None or not (asked.target_directory or asked.part):
        return None
    if question.point.kind == LOGICAL and asked.part and asked.part.is_streamed:
        return None
    places = [asked.target_directory] if asked.target_directory else []
    if asked.part is None and not asked.in_place:
        located: dict[str, str] = question.found.server_facts.get("tablespaces") or {}
        places += [asked.tablespaces.get(old, old) for old in sorted(located.values())]
    return places


def is_heard(control: Control, connection: sa.Connection, found: Protection) -> bool:
    """Whether the agent has called lately: one that is away is not waited for."""
    server = servers.need_server(connection, found.server_resource_group, found.server_name)
    now, heard = control.clock.now(), server["seen_at"]
    return heard is not None and (now - heard).total("seconds") <= servers.LATELY_SECONDS


def offer_look(
    control: Control, connection: sa.Connection, look: str, agent_id: str, order: dict[str, Any]
) -> None:
    """Ask an agent to look, by an operation of this id."""
    row = {
        "id": look,
        "job_id": None,
        "workflow_id": None,
        "agent_id": agent_id,
        "kind": "look",
        "order": order,
        "created_at": control.clock.now(),
    }
    agent_operations.offer(connection, row)


def is_answered(control: Control, asking: Looking) -> bool:
    """Whether there is nothing to wait for."""
    if not asking.look:
        return True
    with control.database.reading() as connection:
        row = agent_operations.get(connection, asking.look)
    return row is None or row["status"] not in agent_operations.OPEN


def finish_plan(control: Control, question: Question) -> RestorePlan:
    """With what the agent has seen, if it has answered; else it is asked no more."""
    seen = None
    with control.database.writing() as connection:
        if question.look:
            row = agent_operations.get(connection, question.look)
            if row is not None and row["status"] == "completed":
                seen = msgspec.convert(row["result"], LookResult)
            agent_operations.end(connection, question.look, "cancelled")
        return _plan(connection, question, seen)


def _plan(connection: sa.Connection, question: Question, seen: LookResult | None) -> RestorePlan:
    found, point, asked = question.found, question.point, question.asked
    cost = cost_of(point, _databases(asked))
    sight = Sight(seen, asked_for=bool(question.look), wanted=places_of(question) is not None)
    there = sight.target(asked)
    plan = RestorePlan(
        kind=_kind(point, asked),
        takes=_takes(asked),
        server=found.server_name,
        point=point.id,
        taken_at=point.taken_at.round("second").format_iso(),
        version_number=int(point.facts.get("version_number", 0)),
        databases=point.facts.get("databases") or {},
        target=_target(asked),
        read_bytes=cost.read_bytes,
        write_bytes=cost.write_bytes,
        wal_bytes=0 if point.kind == LOGICAL else wal_bytes_of(point),
        time=time_of(connection, _agent(question), asked, cost.write_bytes),
        free_bytes=there.free_bytes if there is not None else None,
        tablespaces=asked.tablespaces,
        moment="" if asked.moment is None else str(asked.moment),
        reached=asked.reached,
        timeline=asked.recovery.timeline if asked.recovery and asked.moment else 0,
        capped=asked.capped,
        log_bytes=asked.log_bytes,
        differing_bytes=changed_since(connection, point) if asked.in_place else None,
    )
    known = Known(
        sight=sight,
        disks=file_systems_of(plan, point, asked, sight),
        drilled=drills.last_of_point(connection, point.id),
        target=plan_warnings.target_server(connection, found, asked),
    )
    plan.warnings = plan_warnings.of(plan, found, point, asked, known)
    plan.checks = plan_checks.of(plan, point, asked, known)
    return plan


def _agent(question: Question) -> str:
    load = question.asked.load
    return load.agent_id if load is not None else question.found.agent_id


def _databases(asked: RestoreRequest) -> dict[str, str]:
    """Those that are taken, and their names there; none: all of them."""
    if asked.load is not None:
        return asked.load.databases
    part = asked.part
    if part is None or not part.database:
        return {}
    return {part.database: part.rename if part.rename and not part.table else part.database}


def _kind(point: RecoveryPoint, asked: RestoreRequest) -> str:
    if asked.load is not None or (point.kind == LOGICAL and asked.part is None):
        return "Load"
    if asked.part is None:
        return "InPlace" if asked.in_place else "Server"
    return "Part" if asked.part.database else "Files"


def _takes(asked: RestoreRequest) -> str:
    if asked.load is not None and asked.load.databases:
        names = sorted(asked.load.databases.items())
        return ", ".join(old if old == new else f"{old} as {new}" for old, new in names)
    part = asked.part
    if part is None:
        return "all of it"
    if not part.database:
        return "all databases, roles and tablespaces"
    found = f"database {part.database}"
    if part.table:
        found = f"table {part.table} of {found}"
    return f"{found}, as {part.rename}" if part.rename else found


def _target(asked: RestoreRequest) -> str:
    if asked.load is not None:
        return asked.load.target_server
    if asked.part is not None and not asked.target_directory:
        return asked.part.target_server or asked.part.target_url
    return asked.target_directory
