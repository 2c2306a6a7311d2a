"""The scheduler's sweep: no input, safe twice, by any number of processes at once."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog import schedules
from strongroom.control import backups
from strongroom.control.control import Control
from strongroom.model.ids import JobId
from strongroom.model.policy import BackupPolicy, parse_policy


def fire_due(control: Control) -> list[JobId]:
    """Begin every backup whose time has come, once; what was missed is caught up once."""
    fired: list[JobId] = []
    now = control.clock.now()
    with control.database.reading() as connection:
        if not schedules.due(connection, now):
            return fired
    with control.database.writing() as connection:
        for row in schedules.due(connection, now):
            policy = parse_policy(row["policy"])
            following = _next_fire(policy, row["rule_name"], row["position"], now)
            if following is not None:
                schedules.set_next(connection, row, following)
            job = backups.fire_backup(
                control, connection, row["instance_id"], row["rule_name"], row["next_fire_at"]
            )
            if job is not None:
                fired.append(job)
    return fired


def plan_instance(
    control: Control, connection: sa.Connection, instance_id: str, policy: BackupPolicy
) -> None:
    """Write down when each interval of the policy fires next for this instance."""
    now = control.clock.now()
    times: list[tuple[str, int, Instant]] = []
    for rule in policy.backup_rules:
        for position in range(len(rule.intervals)):
            following = _next_fire(policy, rule.name, position, now)
            if following is not None:
                times.append((rule.name, position, following))
    schedules.replace(connection, instance_id, times)


def _next_fire(
    policy: BackupPolicy, rule_name: str, position: int, now: Instant
) -> Instant | None:
    for rule in policy.backup_rules:
        if rule.name == rule_name and position < len(rule.intervals):
            return rule.intervals[position].next_after(now)
    return None
