"""The scheduler's sweep: no input, safe twice, by any number of processes at once."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog import protection, schedules
from strongroom.control import backups
from strongroom.control.control import Control
from strongroom.model.backup_settings import settings_of, window_of
from strongroom.model.ids import JobId
from strongroom.model.policy import BackupPolicy, parse_policy
from strongroom.model.protection_state import ABLE


def list_due(control: Control) -> list[sa.RowMapping]:
    """Every interval whose time has come, for `fire`."""
    with control.database.reading() as connection:
        return schedules.due(connection, control.clock.now())


def fire(control: Control, due: sa.RowMapping) -> JobId | None:
    """Begin the backup of one interval, once; what was missed is caught up once.

    None when another process was faster, when a backup is under way, when the policy has lost the
    rule, or while the instance's window is closed: then it stays due. One transaction for each, so
    that one bad policy holds up no other.
    """
    window = window_of(settings_of(due["properties"]))
    if window is not None and window.waiting(due["next_fire_at"], control.clock.now()):
        return None
    with control.database.writing() as connection:
        policy = parse_policy(due["policy"])
        following = _next_fire(policy, due["rule_name"], due["position"], control.clock.now())
        if not schedules.move_on(connection, due, following) or following is None:
            return None
        return backups.fire_backup(
            control, connection, due["instance_id"], due["rule_name"], due["next_fire_at"]
        )


def plan_instance(
    control: Control, connection: sa.Connection, instance_id: str, policy: BackupPolicy
) -> None:
    """Write down when each interval of the policy fires next for this instance.

    Never, where its state takes no backups.
    """
    if protection.by_id(connection, instance_id).state not in ABLE:
        schedules.replace(connection, instance_id, [])
        return
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
