"""The log of a server as it comes: an agent reports what it has put, and is told what is kept.

What a recovery reads of it is opened for the operation that was planned to read it, and for no
other range.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.wal import wal
from strongroom.catalog.work import agent_operations
from strongroom.control.basis.control import Control
from strongroom.control.wal.wal_coverage import end_of, forks_of
from strongroom.model.errors import Forbidden
from strongroom.model.ids import AgentId, InstanceId
from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.wal import WalKept, WalReply, WalReport, WalRequest
from strongroom.model.work.logical import LOGICAL

STREAM = "stream"
RECOVERS = ("restore", "extract", "drill")


def report_wal(control: Control, agent: AgentId, operation_id: str, report: WalReport) -> WalReply:
    """Record what is in storage -> how far the vault has it. Safe twice."""
    with control.database.reading() as connection:
        row = agent_operations.held(connection, operation_id, agent, report.epoch)
    if row["kind"] != STREAM:
        raise Forbidden("only a stream reports write-ahead log")
    instance_id = row["order"]["instanceId"]
    if report.packs or report.histories or report.gap:
        control.keep_wal(instance_id, report)
    now = control.clock.now()
    with control.database.writing() as connection:
        agent_operations.held(connection, operation_id, agent, report.epoch)
        if report.state:
            wal.note_stream(connection, instance_id, report, now)
        found = wal.stream_of(connection, instance_id)
        settings = settings_of(protection.by_id(connection, instance_id).properties)
        if found is None or not found["timeline"]:
            reply = _behind_a_point(connection, instance_id)
        else:
            system, timeline = found["system_identifier"], found["timeline"]
            reply = WalReply(
                system_identifier=system,
                timeline=timeline,
                end=found["end_lsn"],
                history=wal.histories_of(connection, instance_id, system).get(timeline, ""),
                tail=wal.tail_of(found),
                unended=wal.unended_of(found),
            )
    return msgspec.structs.replace(reply, slot_bytes=settings.slot_bytes)


def _behind_a_point(connection: sa.Connection, instance_id: str) -> WalReply:
    """So that the first of the log joins a point, where the server still has what lies between."""
    points = recovery_points.list_of_instance(connection, InstanceId(instance_id))
    for point in sorted(points, key=lambda each: each.taken_at, reverse=True):
        if point.kind != LOGICAL:
            timeline, stop = end_of(point)
            return WalReply(
                system_identifier=str(point.facts["system_identifier"]),
                timeline=timeline,
                end=stop,
                of_point=True,
            )
    return WalReply()


def open_wal(control: Control, agent: AgentId, operation_id: str, request: WalRequest) -> WalKept:
    """The packs behind a position, and their keys, sealed to the recovery's session; audited."""
    with control.database.reading() as connection:
        row = agent_operations.held(connection, operation_id, agent, request.epoch)
        if row["kind"] not in RECOVERS or not _is_planned(connection, row["order"], request):
            raise Forbidden("this operation does not read that stretch of write-ahead log")
    found = control.open_wal(operation_id, request)
    if found.packs:  # a standby asks every second
        with control.database.writing() as connection:
            agent_operations.held(connection, operation_id, agent, request.epoch)
            what: dict[str, object] = {"timeline": request.timeline, "start": request.start}
            what |= {"packs": len(found.packs), "operation": operation_id}
            target = ("keys/releaseLog", row["order"]["recoveryPointId"])
            audit.append(connection, control.clock.now(), f"agent:{agent}", target, what)
    return found


def _is_planned(connection: sa.Connection, order: dict[str, Any], request: WalRequest) -> bool:
    """Whether the recovery reads there. One that follows reads what went on from its timeline."""
    told = order.get("recovery") or {}
    stretches = told.get("timelines") or []
    if any(
        request.timeline == timeline and start <= request.start < end
        for timeline, start, end in stretches
    ):
        return True
    if not told.get("follow"):
        return False
    last = stretches[-1][0]
    histories = wal.histories_of(connection, order["instanceId"], told["system"])
    for newest, text in histories.items():
        line = [*(timeline for timeline, _ in forks_of(text)), newest]
        if last in line and request.timeline in line[line.index(last) :]:
            return True
    return False
