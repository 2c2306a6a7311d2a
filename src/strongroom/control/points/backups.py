"""Trigger a backup: on demand, or because its time has come."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from blake3 import blake3
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.work import jobs
from strongroom.control.basis import long_running
from strongroom.control.basis.control import Control
from strongroom.model.arm import VaultRef, instance_id_of, job_id_of
from strongroom.model.errors import Conflict, Invalid, Precondition
from strongroom.model.identities.access import Caller
from strongroom.model.ids import JobId, OperationId, uuid4
from strongroom.model.protection.backup_type import read_backup_type
from strongroom.model.protection.policy import BackupPolicy, parse_policy
from strongroom.model.protection.protection_state import ABLE, next_step
from strongroom.model.work.job import JobKind

ACTION = "Microsoft.DataProtection/backupVaults/backupInstances/backup/action"


def trigger_backup(  # noqa: PLR0913 - a wish each, by name
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    *,
    rule_name: str,
    tag_override: str | None,
    request_key: str,
    full: bool = False,
    backup_type: str = "",
) -> OperationId:
    """Begin a backup on demand; the operation ends at once and names the job.

    `full` asks for everything to be read, where an increment would do; `backup_type` for a kind
    other than the policy's (model/protection/backup_type.py).
    """

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        policy = parse_policy(found.policy)
        job_id = JobId(str(uuid4(control.chance)))
        asked = {
            "rule_name": _rule_name(policy, rule_name),
            "tag": _tag(policy, tag_override),
            "user_triggered": True,
            "requested_by": caller.principal_id,
            "order": _order(backup_type, full=full),
        }
        _enqueue(control, connection, found, job_id, asked)
        return {"jobId": job_id_of(control.installation.subscription_id, vault, job_id)}

    scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
    return long_running.act_once(control, caller, ACTION, scope, request_key, begin)


def _order(backup_type: str, *, full: bool) -> dict[str, Any]:
    kind = {"backup_type": read_backup_type(backup_type)} if backup_type else {}
    return {**kind, **({"full": True} if full else {})}


def fire_backup(
    control: Control, connection: sa.Connection, instance_id: str, rule_name: str, at: Instant
) -> JobId | None:
    """Begin the backup that a schedule asks for; None when one is under way, or has been.

    The id follows from instance, rule and fire time: any number of schedulers make one job.
    """
    found = protection.by_id(connection, instance_id)
    if found.state not in ABLE or jobs.running(connection, found.instance_id, JobKind.BACKUP):
        return None
    job_id = scheduled_job_id(instance_id, rule_name, at)
    if jobs.is_known(connection, job_id):
        return None
    asked = {
        "rule_name": rule_name,
        "tag": "",
        "user_triggered": False,
        "requested_by": "schedule",
        "order": {"due_at": at.format_iso()},
    }
    _enqueue(control, connection, found, job_id, asked)
    return job_id


def fire_for_log(
    control: Control,
    connection: sa.Connection,
    found: Protection,
    why: str,
    gap: tuple[Instant, str] | None,
) -> JobId | None:
    """A full backup for the log that is streamed to lean on: once for each gap behind which it is.

    `gap`: when it was found, and what is told of it.

    None when it was begun already, or while another backup is under way.
    """
    epoch, told = gap or (Instant.from_timestamp(0), "")
    reason = f"log was lost: {told}" if told else "its log is kept, and no point leads to it yet"
    job_id = scheduled_job_id(found.instance_id, why, epoch)
    if found.state not in ABLE or jobs.is_known(connection, job_id):
        return None
    if jobs.running(connection, found.instance_id, JobKind.BACKUP):
        return None
    asked = {
        "rule_name": parse_policy(found.policy).backup_rules[0].name,
        "tag": "",
        "user_triggered": False,
        "requested_by": "service",
        "order": {"full": True, "for_log": True, "why": reason},
    }
    _enqueue(control, connection, found, job_id, asked)
    return job_id


def scheduled_job_id(instance_id: str, rule_name: str, at: Instant) -> JobId:
    """A UUIDv8 made of the digest of what makes a scheduled backup one and the same."""
    digest = blake3(f"{instance_id}\n{rule_name}\n{at.timestamp()}".encode()).digest(16)
    # Python makes no version 8 before 3.14: version and variant (RFC 9562) are set by hand.
    number = int.from_bytes(digest) & ~(0xF << 76) & ~(0x3 << 62) | 8 << 76 | 2 << 62
    return JobId(str(UUID(int=number)))


def _rule_name(policy: BackupPolicy, asked: str) -> str:
    for rule in policy.backup_rules:
        if rule.name.lower() == asked.lower():
            return rule.name
    names = ", ".join(rule.name for rule in policy.backup_rules)
    raise Invalid(
        f"the policy has no backup rule {asked[:150]!r}",
        hint=f"name one of its rules: {names}",
        code="BMSUserErrorInvalidInput",
    )


def _tag(policy: BackupPolicy, override: str | None) -> str:
    if not override:
        return ""
    for rule in policy.retention_rules:
        if rule.name.lower() == override.lower():
            return rule.name
    names = ", ".join(rule.name for rule in policy.retention_rules)
    raise Invalid(
        f"the policy has no retention rule for the tag {override[:150]!r}",
        hint=f"use one of: {names}",
        code="BMSUserErrorInvalidInput",
    )


def _enqueue(
    control: Control,
    connection: sa.Connection,
    found: Protection,
    job_id: JobId,
    asked: dict[str, Any],
) -> None:
    if found.state not in ABLE:
        raise Precondition(
            f"no backup of {found.instance_name} begins while it is {found.state}",
            hint=next_step(found.state),
        )
    if jobs.running(connection, found.instance_id, JobKind.BACKUP):
        raise Conflict(
            f"a backup of {found.instance_name} is already running",
            hint="wait until it ends: strongroom jobs",
            code="UserErrorMaxConcurrentOperationLimitReached",
        )
    now = control.clock.now()
    jobs.add(connection, job_id, found, JobKind.BACKUP, now, **asked)
    audit.append(
        connection,
        now,
        asked["requested_by"],
        ("backup/trigger", found.instance_name),
        {"job": job_id, "rule": asked["rule_name"]},
    )
    control.jobs.enqueue(
        connection, "backup", f"job:{job_id}", job_id, partition=found.instance_id
    )
