"""Which tag a recovery point gets, why, and when it expires. Fixed at commit for ever.

First of a period means the first *committed* point of that period, in the policy's time zone,
that has this tag or one that goes before it: the year's first point is the month's and the week's
too, and an on-demand point of the default tag uses nothing up. A week begins on Sunday, as in
Azure. Expiry is calendar arithmetic: P1M after 31 January is the last day of February. A point is
never expired by a later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from whenever import Instant, ZonedDateTime

from strongroom.model.errors import Invalid
from strongroom.model.policy import (
    DAYS,
    MONTHS,
    BackupPolicy,
    BackupRule,
    Criteria,
    Duration,
    Tagging,
)

Point = tuple[Instant, str]  # (taken at, tag) of an earlier committed point


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tag, the day it ends, and a sentence that says why."""

    tag: str
    expires_at: Instant
    reason: str


def tag_for(
    policy: BackupPolicy,
    rule_name: str,
    taken_at: Instant,
    earlier: Sequence[Point],
    override: str | None = None,
) -> Verdict:
    """Decide for one new point. `override` is the tag that an on-demand backup asked for."""
    rule = _rule(policy, rule_name)
    local = taken_at.to_tz(rule.time_zone)
    if override:
        return _verdict(policy, override, local, "asked for by whoever triggered it")
    for tagging in sorted(rule.tagging, key=lambda t: t.priority):
        reason = _why(tagging, local, rule, earlier)
        if reason:
            return _verdict(policy, tagging.tag, local, reason)
    default = next(rule.name for rule in policy.retention_rules if rule.is_default)
    return _verdict(policy, default, local, "no other tag applies")


def expiry(taken_at: ZonedDateTime, duration: Duration) -> Instant:
    """When a point taken then ends: calendar arithmetic in the policy's zone."""
    return taken_at.add(
        years=duration.years,
        months=duration.months,
        weeks=duration.weeks,
        days=duration.days,
        disambiguation="compatible",
    ).to_instant()


def _rule(policy: BackupPolicy, name: str) -> BackupRule:
    for rule in policy.backup_rules:
        if rule.name.lower() == name.lower():
            return rule
    raise Invalid(f"the policy has no backup rule {name[:150]!r}")


def _verdict(policy: BackupPolicy, tag: str, local: ZonedDateTime, reason: str) -> Verdict:
    kept = policy.retention_for(tag)
    return Verdict(kept.name, expiry(local, kept.duration), f"{kept.name}: {reason}")


def _why(
    tagging: Tagging, local: ZonedDateTime, rule: BackupRule, earlier: Sequence[Point]
) -> str:
    if tagging.is_default and not tagging.criteria:
        return "the default"
    covering = {t.tag.lower() for t in rule.tagging if t.priority <= tagging.priority}
    same = [time.to_tz(rule.time_zone) for time, tag in earlier if tag.lower() in covering]
    for criteria in tagging.criteria:
        if _calendar_fits(criteria, local) and _absolute_fits(criteria, local, same):
            return " and ".join(criteria.absolute) or "the calendar says so"
    return ""


def _calendar_fits(criteria: Criteria, local: ZonedDateTime) -> bool:
    date = local.date()
    last_day = date.year_month().on_day(1).add(months=1).subtract(days=1).day
    days = {last_day if day == 0 else day for day in criteria.days_of_month}
    weekday = DAYS[date.day_of_week().value - 1]
    month = MONTHS[date.month - 1]
    clock = f"{local.hour:02}:{local.minute:02}"
    return (
        (not days or date.day in days)
        and (not criteria.days_of_week or weekday in criteria.days_of_week)
        and (not criteria.months_of_year or month in criteria.months_of_year)
        and (not criteria.times or clock in criteria.times)
        and (not criteria.weeks_of_month or _week_fits(criteria, date.day, last_day))
    )


def _week_fits(criteria: Criteria, day: int, last_day: int) -> bool:
    ordinal = ("First", "Second", "Third", "Fourth", "Fifth")[(day - 1) // 7]
    is_last = day + 7 > last_day
    return ordinal in criteria.weeks_of_month or (is_last and "Last" in criteria.weeks_of_month)


def _absolute_fits(
    criteria: Criteria, local: ZonedDateTime, same: Sequence[ZonedDateTime]
) -> bool:
    for word in criteria.absolute:
        if word != "AllBackup" and any(
            _period(word, time) == _period(word, local) for time in same
        ):
            return False
    return bool(criteria.absolute) or not _is_empty(criteria)


def _is_empty(criteria: Criteria) -> bool:
    return criteria == Criteria()


def _period(word: str, time: ZonedDateTime) -> tuple[int, ...]:
    date = time.date()
    if word == "FirstOfDay":
        return (date.year, date.month, date.day)
    if word == "FirstOfWeek":
        sunday = date.subtract(days=date.day_of_week().value % 7)
        return (sunday.year, sunday.month, sunday.day)
    if word == "FirstOfMonth":
        return (date.year, date.month)
    return (date.year,)
