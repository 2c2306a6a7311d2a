"""A backup policy: when, and how long, by tag. Read from ARM's JSON at the door.

What makes no sense is refused with the path of its field (model/fields.py). The text itself is
kept beside it and echoed as it came. Source: azure-mgmt-dataprotection 2.2.0, BackupPolicy,
AzureBackupRule, AzureRetentionRule, ScheduleBasedBackupCriteria.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whenever import ItemizedDelta, OffsetDateTime

from strongroom.model.errors import Invalid
from strongroom.model.fields import Fields, naming, wrong
from strongroom.model.protection.backup_type import FULL, PHYSICAL, read_backup_type
from strongroom.model.protection.schedule import Repeating, zone_of
from strongroom.model.work.logical import LOGICAL

DATASOURCE_TYPE = "Microsoft.DBforPostgreSQL/flexibleServers"
NAME = re.compile(r"[-a-zA-Z0-9]{3,150}")
DEFAULT_TAG = "Default"
LONGEST_YEARS = 100
MOST_WINDOW_DAYS = 3660
MOST_SPREAD_MINUTES = 720
_PRIORITY = 99
_VAULT, _OPERATIONAL = "VaultStore", "OperationalStore"
_DURATION = re.compile(r"P(\d{1,4}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?")


def _bad(message: str, hint: str) -> Invalid:
    return Invalid(message, hint=hint, code="BMSUserErrorInvalidInput")


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
            raise _bad(f"{text[:40]!r} is not a retention duration", "use P14D, P8W or P10Y")
        delta = ItemizedDelta.parse_iso(text)
        found = cls(
            delta.get("years", 0),
            delta.get("months", 0),
            delta.get("weeks", 0),
            delta.get("days", 0),
        )
        if not (found.years or found.months or found.weeks or found.days):
            raise _bad(f"retention duration {text!r} is nothing", "keep at least a day: P1D")
        if found.days_about() > LONGEST_YEARS * 366:
            raise _bad(
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

    @property
    def names_days(self) -> bool:
        """Whether it speaks of days, weeks, months or hours, and not of firsts alone."""
        days = self.days_of_month or self.days_of_week or self.weeks_of_month
        return bool(days or self.months_of_year or self.times)


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
    tagging: tuple[Tagging, ...]  # by priority, then as they came
    backup_type: str = FULL


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long points of a tag are kept; its name is the tag."""

    name: str
    duration: Duration
    is_default: bool


@dataclass(frozen=True, slots=True)
class BackupPolicy:
    """A policy that makes sense: every tag has a retention rule, and there is a default.

    operational_days: every second of so many days can be restored; 0: recovery points alone.
    """

    backup_rules: tuple[BackupRule, ...]
    retention_rules: tuple[RetentionRule, ...] = field(default=())
    start_within: int | None = None  # minutes; None: as many instances make necessary
    operational_days: int = 0

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
    body = Fields(text if isinstance(text, Mapping) else _load(text))
    for n, kind in enumerate(body.items("datasourceTypes")):
        if str(kind).lower() != DATASOURCE_TYPE.lower():
            what = f"{str(kind)[:80]!r} is not offered"
            raise wrong(f"datasourceTypes[{n}]", what, f"use {DATASOURCE_TYPE}")
    backup: list[tuple[Fields, BackupRule]] = []
    retention: list[tuple[Fields, RetentionRule]] = []
    window = 0
    for rule in body.bodies("policyRules"):
        if _is_backup_rule(rule):
            backup.append((rule, _backup_rule(rule)))
        elif _is_operational(rule):
            window = _window(rule, window)
        else:
            retention.append((rule, _retention_rule(rule)))
    _check(backup, retention)
    return BackupPolicy(
        tuple(rule for _, rule in backup),
        tuple(rule for _, rule in retention),
        start_within=_start_within(body),
        operational_days=window,
    )


def _is_backup_rule(rule: Fields) -> bool:
    """By its objectType; where a client leaves that empty, by what it holds."""
    match rule.text("objectType").lower():
        case "azurebackuprule":
            return True
        case "azureretentionrule":
            return False
        case "":
            return not rule.has("lifecycles")
        case other:
            raise wrong(
                rule.path("objectType"),
                f"{other[:60]!r} is unknown",
                "use AzureBackupRule or AzureRetentionRule",
            )


def _check(
    backup: Sequence[tuple[Fields, BackupRule]], retention: Sequence[tuple[Fields, RetentionRule]]
) -> None:
    """What the rules must be together."""
    if not backup:
        raise wrong("policyRules", "there is no AzureBackupRule", "say when backups are taken")
    for rules in (backup, retention):
        seen: set[str] = set()
        for place, rule in rules:
            if rule.name.lower() in seen:
                what = f"{rule.name!r} is the name of another rule too"
                raise wrong(place.path("name"), what, "give each rule its own name")
            seen.add(rule.name.lower())
    if sum(rule.is_default for _, rule in retention) != 1:
        raise wrong(
            "policyRules",
            "there is not exactly one default AzureRetentionRule",
            'add a rule with "name": "Default" and "isDefault": true',
        )
    tags = {rule.name.lower() for _, rule in retention}
    for place, _ in backup:
        for tagging in place.body("trigger").bodies("taggingCriteria"):
            info = tagging.body("tagInfo")
            tag = info.text("tagName")
            if tag.lower() not in tags:
                what = f"the tag {tag[:60]!r} has no retention rule"
                hint = f'add an AzureRetentionRule with "name": "{tag[:60]}"'
                raise wrong(info.path("tagName"), what, hint)


def _load(text: str | bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise wrong("", "is not JSON", "send a JSON object") from error
    if not isinstance(found, Mapping):
        raise wrong("", "is not an object", "send a JSON object")
    return found


def _name(body: Fields) -> str:
    name = body.text("name")
    if not NAME.fullmatch(name):
        what = f"{name[:40]!r} is no name for a rule"
        raise wrong(body.path("name"), what, "use 3 to 150 of a-z A-Z 0-9 -")
    return name


def _backup_rule(body: Fields) -> BackupRule:
    trigger = body.body("trigger")
    schedule = trigger.body("schedule")
    body.check_part("dataStore", "dataStoreType", _VAULT)
    with naming(schedule.path("timeZone")):
        zone = zone_of(schedule.text("timeZone"))
    tagging = [_tagging(each, zone) for each in trigger.bodies("taggingCriteria")]
    return BackupRule(
        name=_name(body),
        intervals=_intervals(schedule, zone),
        time_zone=zone,
        tagging=tuple(sorted(tagging, key=lambda each: each.priority)),
        backup_type=_backup_type(body),
    )


def _intervals(schedule: Fields, zone: str) -> tuple[Repeating, ...]:
    path = schedule.path("repeatingTimeIntervals")
    texts = [str(text) for text in schedule.items("repeatingTimeIntervals")]
    if not texts:
        raise wrong(path, "there is none", "add at least one, such as R/2026-01-01T02:00:00Z/P1D")
    found = []
    for n, text in enumerate(texts):
        with naming(f"{path}[{n}]"):
            found.append(Repeating.parse(text, zone))
    return tuple(found)


def _backup_type(body: Fields) -> str:
    if not body.has("backupParameters"):
        return FULL
    parameters = body.body("backupParameters")
    with naming(parameters.path("backupType")):
        return read_backup_type(parameters.text("backupType") or FULL)


def _tagging(body: Fields, zone: str) -> Tagging:
    is_default = body.flag("isDefault")
    criteria = tuple(_criteria(each, zone) for each in body.bodies("criteria"))
    if not is_default and Criteria() in (criteria or (Criteria(),)):
        what = "a tag that is not the default one would never be given"
        raise wrong(body.path("criteria"), what, "say which points it is for")
    return Tagging(
        tag=body.body("tagInfo").text("tagName"),
        priority=body.number("taggingPriority", _PRIORITY),
        is_default=is_default,
        criteria=criteria,
    )


def _criteria(body: Fields, zone: str) -> Criteria:
    times = body.items("scheduleTimes")
    path = body.path("scheduleTimes")
    return Criteria(
        absolute=body.chosen("absoluteCriteria", ABSOLUTE),
        days_of_month=tuple(_day(each) for each in body.bodies("daysOfMonth")),
        days_of_week=body.chosen("daysOfTheWeek", DAYS),
        weeks_of_month=body.chosen("weeksOfTheMonth", WEEKS),
        months_of_year=body.chosen("monthsOfYear", MONTHS),
        times=tuple(_clock_time(str(t), zone, f"{path}[{n}]") for n, t in enumerate(times)),
    )


def _day(body: Fields) -> int:
    if body.flag("isLast"):
        return 0
    day = body.number("date", 0)
    if not 1 <= day <= 31:
        raise wrong(body.path("date"), f"there is no day {day}", "use 1 to 31, or isLast")
    return day


def _clock_time(text: str, zone: str, path: str) -> str:
    """The clock's reading in the policy's zone, as a schedule's start is read there too."""
    try:
        local = OffsetDateTime.parse_iso(text).to_tz(zone)
    except ValueError as error:
        what = f"{text[:40]!r} is no date-time"
        raise wrong(path, what, "use 2026-01-01T02:00:00Z") from error
    return f"{local.hour:02}:{local.minute:02}"


def _retention_rule(body: Fields) -> RetentionRule:
    duration, _ = _kept_for(body, _VAULT)
    name = _name(body)
    return RetentionRule(
        name=name,
        duration=duration,
        is_default=body.flag("isDefault") or name.lower() == DEFAULT_TAG.lower(),
    )


def _is_operational(body: Fields) -> bool:
    """Whether it speaks of the operational tier, as Azure's rules for blobs and disks do."""
    for lifecycle in body.bodies("lifecycles"):
        if lifecycle.has("sourceDataStore"):
            store = lifecycle.body("sourceDataStore").text("dataStoreType")
            return store.lower() == _OPERATIONAL.lower()
    return False


def _window(body: Fields, known: int) -> int:
    """How many days of every second. Its name is no tag: both tiers may have a `Default`."""
    duration, path = _kept_for(body, _OPERATIONAL)
    if known:
        raise wrong(body.path("lifecycles"), "two rules for OperationalStore", "keep one of them")
    days = duration.weeks * 7 + duration.days
    if duration.years or duration.months or days > MOST_WINDOW_DAYS:
        what = "every second is kept for a number of days"
        raise wrong(path, what, f"use P1D to P{MOST_WINDOW_DAYS}D, such as P35D")
    return days


def _kept_for(body: Fields, store: str) -> tuple[Duration, str]:
    """How long a store keeps it, and the path of that field."""
    lifecycles = body.bodies("lifecycles")
    if len(lifecycles) != 1:
        what = "there is not exactly one"
        raise wrong(body.path("lifecycles"), what, f"say how long {store} keeps a point")
    lifecycle = lifecycles[0]
    lifecycle.check_part("sourceDataStore", "dataStoreType", store)
    if lifecycle.items("targetDataStoreCopySettings"):
        path = lifecycle.path("targetDataStoreCopySettings")
        raise wrong(path, "copies to other data stores are not offered", "leave it empty")
    delete_after = lifecycle.body("deleteAfter")
    path = delete_after.path("duration")
    with naming(path):
        return Duration.parse(delete_after.text("duration")), path


def _start_within(body: Fields) -> int | None:
    """Ours, not Azure's: `strongroom.startWithin`, the minutes that starts are spread over."""
    if not body.has("strongroom"):
        return None
    ours = body.body("strongroom")
    if not ours.has("startWithin"):
        return None
    minutes = ours.number("startWithin", 0)
    if not 0 <= minutes <= MOST_SPREAD_MINUTES:
        what = f"{minutes} minutes cannot be spread over"
        raise wrong(ours.path("startWithin"), what, f"use 0 to {MOST_SPREAD_MINUTES}")
    return minutes
