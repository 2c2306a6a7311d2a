"""Which tag a point gets and when it ends, from the text of its policy alone: the oracle's word.

Criteria are tried in the order of their priority, the lowest number first; the first that fits
gives its tag, else it is the default retention rule's. Of several criteria of a tag one is enough;
the fields of one stand together; of several values in a field one is enough. A first of a period
is the first point of it, unless one of that period is there that has the tag, or has a tag that
goes before it and keeps at least as long. What speaks of the calendar goes by the time at which a
scheduled backup was due. Source: Azure Data Protection, ScheduleBasedBackupCriteria and
TaggingCriteria; docs/decisions/0041.
"""

import calendar
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from oracle.almanac import length_of, moved, period_of, zone_named

Policy = Mapping[str, Any]
Past = Sequence[tuple[datetime, str]]  # (taken at, tag), in any order
_ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth")


class Reading:
    """A policy's JSON, read."""

    def __init__(self, policy: Policy) -> None:
        self.kept: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.rules: dict[str, Mapping[str, Any]] = {}
        self.default = ""
        for rule in policy["policyRules"]:
            name = str(rule["name"])
            if rule["objectType"] == "AzureBackupRule":
                self.rules[name] = rule["trigger"]
                continue
            self.names[name.lower()] = name
            self.kept[name.lower()] = rule["lifecycles"][0]["deleteAfter"]["duration"]
            if rule.get("isDefault") or name.lower() == "default":
                self.default = name.lower()

    def zone(self, rule: str) -> ZoneInfo:
        return zone_named(self.rules[rule]["schedule"].get("timeZone") or "")

    def intervals(self, rule: str) -> list[str]:
        return list(self.rules[rule]["schedule"]["repeatingTimeIntervals"])

    def ends(self, tag: str, taken: datetime, zone: ZoneInfo) -> datetime:
        return moved(taken, length_of(self.kept[tag]), zone)


def verdict(
    reading: Reading,
    rule: str,
    taken: datetime,
    past: Past,
    override: str = "",
    due: datetime | None = None,
) -> tuple[str, datetime]:
    """(tag, end) of a new point; times are UTC."""
    if rule not in reading.rules:
        zone, tag = zone_named("UTC"), override.lower() or reading.default
    else:
        zone = reading.zone(rule)
        tag = override.lower() or _tag(reading, rule, taken, past, due or taken)
    tag = tag if tag in reading.kept else reading.default
    return reading.names[tag], reading.ends(tag, taken, zone)


def _tag(reading: Reading, rule: str, taken: datetime, past: Past, due: datetime) -> str:
    zone = reading.zone(rule)
    criteria = sorted(
        reading.rules[rule]["taggingCriteria"], key=lambda each: each.get("taggingPriority", 99)
    )
    for each in criteria:
        tag = each["tagInfo"]["tagName"].lower()
        wanted = each.get("criteria") or []
        if not wanted and each.get("isDefault"):
            return tag
        priority = each.get("taggingPriority", 99)
        better = {
            other["tagInfo"]["tagName"].lower()
            for other in criteria
            if other.get("taggingPriority", 99) <= priority
        }
        ends = reading.ends(tag, taken, zone)
        used = [
            time.astimezone(zone)
            for time, had in past
            if had.lower() == tag
            or (had.lower() in better and reading.ends(had.lower(), taken, zone) >= ends)
        ]
        local = taken.astimezone(zone), due.astimezone(zone)
        if any(_fits(one, *local, used, zone) for one in wanted):
            return tag
    return reading.default


def _fits(
    one: Mapping[str, Any],
    taken: datetime,
    due: datetime,
    used: Iterable[datetime],
    zone: ZoneInfo,
) -> bool:
    words = one.get("absoluteCriteria") or []
    first = not words or any(
        word == "AllBackup"
        or all(period_of(word, time) != period_of(word, taken) for time in used)
        for word in words
    )
    return first and all(field(one, due, zone) for field in _FIELDS)


def _day_of_month(one: Mapping[str, Any], due: datetime, zone: ZoneInfo) -> bool:
    del zone
    days = one.get("daysOfMonth") or []
    last = calendar.monthrange(due.year, due.month)[1]
    return not days or any(due.day == (last if d.get("isLast") else d.get("date")) for d in days)


def _day_of_week(one: Mapping[str, Any], due: datetime, zone: ZoneInfo) -> bool:
    del zone
    days = one.get("daysOfTheWeek") or []
    return not days or calendar.day_name[due.weekday()] in days


def _week_of_month(one: Mapping[str, Any], due: datetime, zone: ZoneInfo) -> bool:
    """The second Friday is the second of the month's Fridays."""
    del zone
    weeks = one.get("weeksOfTheMonth") or []
    last = calendar.monthrange(due.year, due.month)[1]
    is_last = due.day > last - 7
    return not weeks or _ORDINALS[(due.day - 1) // 7] in weeks or (is_last and "Last" in weeks)


def _month(one: Mapping[str, Any], due: datetime, zone: ZoneInfo) -> bool:
    del zone
    months = one.get("monthsOfYear") or []
    return not months or calendar.month_name[due.month] in months


def _clock(one: Mapping[str, Any], due: datetime, zone: ZoneInfo) -> bool:
    times = one.get("scheduleTimes") or []
    local = [datetime.fromisoformat(text).astimezone(zone) for text in times]
    return not times or any((t.hour, t.minute) == (due.hour, due.minute) for t in local)


_FIELDS = (_day_of_month, _day_of_week, _week_of_month, _month, _clock)
