"""The scheduler's sweep: no input, safe twice, by any number of processes at once."""

from functools import lru_cache

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.protection import protection, schedules
from strongroom.catalog.work import jobs
from strongroom.control.basis.control import Control
from strongroom.control.points import backups
from strongroom.model.ids import JobId
from strongroom.model.protection.backup_settings import settings_of, window_of
from strongroom.model.protection.policy import BackupPolicy, parse_policy
from strongroom.model.protection.protection_state import ABLE
from strongroom.model.protection.schedule import Repeating
from strongroom.model.protection.starting import limits_of, wait_seconds


def list_due(control: Control) -> list[sa.RowMapping]:
    """Every interval whose time has come, for `fire`."""
    with control.database.reading() as connection:
        return schedules.due(connection, control.clock.now())


def fire(control: Control, due: sa.RowMapping) -> JobId | None:
    """Begin the backup of one interval, once; what was missed is caught up once.

    None when another process was faster, when the policy has lost the rule, or when the last
    backup of the rule is still under way: then this one is left out. None too while the window of
    the instance is closed, its share of the spread is not over, as many backups are under way as
    may be, or one of another rule is: then it stays due. One transaction for each, so that one bad
    policy holds up no other.
    """
    now, policy = control.clock.now(), _policy(due["policy"])
    window = window_of(settings_of(due["properties"]))
    if window is not None and window.waiting(due["next_fire_at"], now):
        return None
    wait = wait_seconds(due["instance_id"], due["instances"], policy.start_within)
    if now < due["next_fire_at"].add(seconds=wait):
        return None
    with control.database.writing() as connection:
        interval = _interval(policy, due["rule_name"], due["position"])
        under_way = jobs.backups_under_way(connection, due["instance_id"])
        if interval is not None and _must_wait(connection, due, under_way):
            return None
        following = None if interval is None else interval.next_after(now)
        if not schedules.move_on(connection, due, following) or interval is None or under_way:
            return None
        return backups.fire_backup(
            control, connection, due["instance_id"], due["rule_name"], due["next_fire_at"]
        )


@lru_cache(maxsize=256)
def _policy(text: str) -> BackupPolicy:
    """A policy is looked at as often as one of its instances waits."""
    return parse_policy(text)


def _must_wait(connection: sa.Connection, due: sa.RowMapping, under_way: list[str]) -> bool:
    """`under_way`: rules of the instance's own backups that are."""
    if under_way:
        return due["rule_name"] not in under_way
    limits = limits_of(due["vault_properties"])
    return (
        jobs.count_backups_of_agent(connection, due["agent_id"]) >= limits.backups_per_agent
        or jobs.count_backups_of_vault(connection, due["vault_id"]) >= limits.backups_per_vault
    )


def plan_instance(
    control: Control, connection: sa.Connection, instance_id: str, policy: BackupPolicy
) -> None:
    """Write down when each interval of the policy fires next for this instance.

    Never, where its state takes no backups. What is due and waits is not lost by that.
    """
    if protection.by_id(connection, instance_id).state not in ABLE:
        schedules.replace(connection, instance_id, [])
        return
    now = control.clock.now()
    waiting = schedules.waiting(connection, instance_id, now)
    times: list[tuple[str, int, Instant]] = []
    for rule in policy.backup_rules:
        for position, interval in enumerate(rule.intervals):
            following = waiting.get((rule.name, position)) or interval.next_after(now)
            if following is not None:
                times.append((rule.name, position, following))
    schedules.replace(connection, instance_id, times)


def _interval(policy: BackupPolicy, rule_name: str, position: int) -> Repeating | None:
    for rule in policy.backup_rules:
        if rule.name == rule_name and position < len(rule.intervals):
            return rule.intervals[position]
    return None
