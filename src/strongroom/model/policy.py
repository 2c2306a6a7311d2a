"""A backup policy: when, and how long, by tag. Read from ARM's JSON at the door.

Keys may come in any case, unknown ones are ignored, nulls count as absent (Terraform sends both).
The text itself is kept beside it and echoed as it came. Source: azure-mgmt-dataprotection 2.2.0,
BackupPolicy, AzureBackupRule, AzureRetentionRule, ScheduleBasedBackupCriteria.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whenever import ItemizedDelta, OffsetDateTime

from strongroom.model.backup_type import FULL, PHYSICAL, read_backup_type
from strongroom.model.errors import Invalid
from strongroom.model.logical import LOGICAL
from strongroom.model.schedule import Repeating, zone_of

DATASOURCE_TYPE = "Microsoft.DBforPostgreSQL/flexibleServers"
NAME = re.compile(r"[-a-zA-Z0-9]{3,150}")
DEFAULT_TAG = "Default"
LONGEST_YEARS = 100
_PRIORITY = 99
_DURATION = re.compile(r"P(\d{1,4}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?")


@dataclass(frozen=True, slots=True)
class Duration:
    """A calendar length: years, months, weeks, days. Never seconds: P1M is not 30 days."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """`P10Y`, `P13M`, `P8W`, `P14D`; Invalid says what is wrong."""
        if not _DURATION.fullmatch(text) or text == "P":
            raise _invalid(f"{text[:40]!r} is not a retention duration", "use P14D, P8W or P10Y")
        delta = ItemizedDelta.parse_iso(text)
        found = cls(
            delta.get("years", 0),
            delta.get("months", 0),
            delta.get("weeks", 0),
            delta.get("days", 0),
        )
        if not (found.years or found.months or found.weeks or found.days):
            raise _invalid(f"retention duration {text!r} is nothing", "keep at least a day: P1D")
        if found.days_about() > LONGEST_YEARS * 366:
            raise _invalid(
                f"retention duration {text!r} is longer than {LONGEST_YEARS} years",
                f"keep at most P{LONGEST_YEARS}Y",
            )
        return found

    def days_about(self) -> int:
        """How many days at least, to compare: a month counts 30, a year 365."""
        return self.years * 365 + self.months * 30 + self.weeks * 7 + self.days


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which points a tag is for. Fields stand in AND; an empty field says nothing."""

    absolute: tuple[str, ...] = ()  # AllBackup FirstOfDay FirstOfWeek FirstOfMonth FirstOfYear
    days_of_month: tuple[int, ...] = ()  # 1..31; 0 is the last day
    days_of_week: tuple[str, ...] = ()  # Monday..Sunday
    weeks_of_month: tuple[str, ...] = ()  # First..Fourth, Last
    months_of_year: tuple[str, ...] = ()  # January..December
    times: tuple[str, ...] = ()  # HH:MM in the policy's zone


@dataclass(frozen=True, slots=True)
class Tagging:
    """One tagging criterion of a backup rule; lower priority values win."""

    tag: str
    priority: int
    is_default: bool
    criteria: tuple[Criteria, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupRule:
    """When backups are taken, and how they are tagged."""

    name: str
    intervals: tuple[Repeating, ...]
    time_zone: str  # IANA
    tagging: tuple[Tagging, ...]
    backup_type: str = FULL


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long points of a tag are kept; its name is the tag."""

    name: str
    duration: Duration
    is_default: bool


@dataclass(frozen=True, slots=True)
class BackupPolicy:
    """A policy that makes sense: every tag has a retention rule, and there is a default."""

    backup_rules: tuple[BackupRule, ...]
    retention_rules: tuple[RetentionRule, ...] = field(default=())

    @property
    def backup_type(self) -> str:
        """The most that any of its rules asks of a server: Physical, else Full, else Logical."""
        asked = {rule.backup_type for rule in self.backup_rules}
        return next(kind for kind in (PHYSICAL, FULL, LOGICAL) if kind in asked)

    def retention_for(self, tag: str) -> RetentionRule:
        """The rule of a tag (whatever its case), else the default one."""
        for rule in self.retention_rules:
            if rule.name.lower() == tag.lower():
                return rule
        return next(rule for rule in self.retention_rules if rule.is_default)


ABSOLUTE = ("AllBackup", "FirstOfDay", "FirstOfWeek", "FirstOfMonth", "FirstOfYear")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKS = ("First", "Second", "Third", "Fourth", "Last")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def parse_policy(text: str | bytes | Mapping[str, Any]) -> BackupPolicy:
    """ARM JSON of `properties` -> BackupPolicy. Raises Invalid with the first thing wrong.

    What we do not offer is refused, not forgotten: other data stores, copies, backup types.
    """
    body = _Body(text if isinstance(text, Mapping) else _load(text), "properties")
    for kind in body.items("datasourceTypes"):
        if str(kind).lower() != DATASOURCE_TYPE.lower():
            raise _invalid(
                f"datasource type {str(kind)[:80]!r} is not offered", f"use {DATASOURCE_TYPE}"
            )
    backup: list[BackupRule] = []
    retention: list[RetentionRule] = []
    for each in body.items("policyRules"):
        rule = _Body(each, "policyRules")
        if _is_backup_rule(rule):
            backup.append(_backup_rule(rule))
        else:
            retention.append(_retention_rule(rule))
    _check(backup, retention)
    return BackupPolicy(tuple(backup), tuple(retention))


def _is_backup_rule(rule: "_Body") -> bool:
    """By its objectType; where a client leaves that empty, by what it holds."""
    match rule.text("objectType").lower():
        case "azurebackuprule":
            return True
        case "azureretentionrule":
            return False
        case "":
            return not rule.has("lifecycles")
        case other:
            raise _invalid(
                f"policy rule type {other[:60]!r} is unknown",
                "use AzureBackupRule or AzureRetentionRule",
            )


def _check(backup: Sequence[BackupRule], retention: Sequence[RetentionRule]) -> None:
    if not backup:
        raise _invalid("the policy has no AzureBackupRule", "say when backups are taken")
    if sum(rule.is_default for rule in retention) != 1:
        raise _invalid(
            "the policy needs exactly one default AzureRetentionRule",
            'add a rule with "name": "Default" and "isDefault": true',
        )
    names = {rule.name.lower() for rule in retention}
    if len(names) != len(retention):
        raise _invalid("two retention rules have the same name", "give each its own name")
    if len({rule.name.lower() for rule in backup}) != len(backup):
        raise _invalid("two backup rules have the same name", "give each its own name")
    for rule in backup:
        for tagging in rule.tagging:
            if tagging.tag.lower() not in names:
                raise _invalid(
                    f"tag {tagging.tag!r} has no retention rule",
                    f'add an AzureRetentionRule with "name": "{tagging.tag}"',
                )


def _load(text: str | bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _invalid("the policy is not JSON", "send a JSON object") from error
    if not isinstance(found, Mapping):
        raise _invalid("the policy is not an object", "send a JSON object")
    return found


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, hint=hint, code="BMSUserErrorInvalidInput")


class _Body:
    """A JSON object whose keys ignore case and whose nulls are absent."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise _invalid(f"{where} is not an object", "see the policy's model")
        self._values = {str(k).lower(): v for k, v in value.items() if v is not None}
        self.where = where

    def items(self, name: str) -> list[Any]:
        found = self._values.get(name.lower(), [])
        if not isinstance(found, list) or len(found) > 1000:
            raise _invalid(f"{self.where}.{name} is not a list", "send a list")
        return found

    def body(self, name: str) -> "_Body":
        return _Body(self._values.get(name.lower()), f"{self.where}.{name}")

    def text(self, name: str, default: str = "") -> str:
        found = self._values.get(name.lower(), default)
        if not isinstance(found, str):
            raise _invalid(f"{self.where}.{name} is not text", "send a string")
        return found

    def flag(self, name: str) -> bool:
        return self._values.get(name.lower(), False) is True

    def number(self, name: str, default: int) -> int:
        found = self._values.get(name.lower(), default)
        if isinstance(found, bool) or not isinstance(found, int):
            raise _invalid(f"{self.where}.{name} is not a whole number", "send an integer")
        return found

    def has(self, name: str) -> bool:
        return name.lower() in self._values

    def check_part(self, part: str, name: str, only: str) -> None:
        """The part is absent, or its word is the only one that is offered."""
        if self.has(part):
            found = self.body(part).text(name, only)
            if found.lower() not in {only.lower(), ""}:
                raise _invalid(f"{name} {found[:60]!r} is not offered", f"use {only}")

    def chosen(self, name: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        by_key = {value.lower(): value for value in allowed}
        found = []
        for value in self.items(name):
            if str(value).lower() not in by_key:
                raise _invalid(
                    f"{self.where}.{name}: {str(value)[:40]!r} is unknown",
                    f"use one of {', '.join(allowed)}",
                )
            found.append(by_key[str(value).lower()])
        return tuple(found)


def _name(body: _Body) -> str:
    name = body.text("name")
    if not NAME.fullmatch(name):
        raise _invalid(f"rule name {name[:40]!r} is not allowed", "3 to 150 of a-z A-Z 0-9 -")
    return name


def _backup_rule(body: _Body) -> BackupRule:
    trigger = body.body("trigger")
    schedule = trigger.body("schedule")
    body.check_part("dataStore", "dataStoreType", "VaultStore")
    zone = zone_of(schedule.text("timeZone"))
    texts = [str(text) for text in schedule.items("repeatingTimeIntervals")]
    if not texts:
        raise _invalid("the backup rule has no repeatingTimeIntervals", "add at least one")
    tagging = tuple(
        _tagging(_Body(t, "taggingCriteria"), zone) for t in trigger.items("taggingCriteria")
    )
    return BackupRule(
        name=_name(body),
        intervals=tuple(Repeating.parse(text, zone) for text in texts),
        time_zone=zone,
        tagging=tagging,
        backup_type=_backup_type(body),
    )


def _backup_type(body: _Body) -> str:
    if not body.has("backupParameters"):
        return FULL
    return read_backup_type(body.body("backupParameters").text("backupType") or FULL)


def _tagging(body: _Body, zone: str) -> Tagging:
    criteria = tuple(_criteria(_Body(c, "criteria"), zone) for c in body.items("criteria"))
    return Tagging(
        tag=body.body("tagInfo").text("tagName"),
        priority=body.number("taggingPriority", _PRIORITY),
        is_default=body.flag("isDefault"),
        criteria=criteria,
    )


def _criteria(body: _Body, zone: str) -> Criteria:
    return Criteria(
        absolute=body.chosen("absoluteCriteria", ABSOLUTE),
        days_of_month=tuple(_day(_Body(d, "daysOfMonth")) for d in body.items("daysOfMonth")),
        days_of_week=body.chosen("daysOfTheWeek", DAYS),
        weeks_of_month=body.chosen("weeksOfTheMonth", WEEKS),
        months_of_year=body.chosen("monthsOfYear", MONTHS),
        times=tuple(_clock_time(str(t), zone) for t in body.items("scheduleTimes")),
    )


def _day(body: _Body) -> int:
    if body.flag("isLast"):
        return 0
    day = body.number("date", 0)
    if not 1 <= day <= 31:
        raise _invalid(f"day of month {day} does not exist", "use 1 to 31, or isLast")
    return day


def _clock_time(text: str, zone: str) -> str:
    """The clock's reading in the policy's zone, as a schedule's start is read there too."""
    try:
        local = OffsetDateTime.parse_iso(text).to_tz(zone)
    except ValueError as error:
        raise _invalid(
            f"schedule time {text[:40]!r} is no date-time", "use 2026-01-01T02:00:00Z"
        ) from error
    return f"{local.hour:02}:{local.minute:02}"


def _retention_rule(body: _Body) -> RetentionRule:
    lifecycles = body.items("lifecycles")
    if len(lifecycles) != 1:
        raise _invalid(f"retention rule {body.text('name')!r} needs one lifecycle", "VaultStore")
    lifecycle = _Body(lifecycles[0], "lifecycles")
    lifecycle.check_part("sourceDataStore", "dataStoreType", "VaultStore")
    if lifecycle.items("targetDataStoreCopySettings"):
        raise _invalid("copies to other data stores are not offered", "leave the list empty")
    delete_after = lifecycle.body("deleteAfter")
    name = _name(body)
    return RetentionRule(
        name=name,
        duration=Duration.parse(delete_after.text("duration")),
        is_default=body.flag("isDefault") or name.lower() == DEFAULT_TAG.lower(),
    )
