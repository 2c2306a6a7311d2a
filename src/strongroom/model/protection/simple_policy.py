"""Policies as most people want them: one time, and how long days, weeks, months and years stay.

Any other policy is as good and is written as ARM's JSON; then `simple_of` has no answer.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from whenever import Date, Time

from strongroom.model.errors import Invalid
from strongroom.model.protection.backup_type import FULL
from strongroom.model.protection.policy import DEFAULT_TAG, BackupPolicy, Duration, parse_policy
from strongroom.model.protection.policy_templates import tagged_policy, with_window
from strongroom.model.protection.schedule import zone_of

_TAGS = (
    ("Yearly", 5, "FirstOfYear"),
    ("Monthly", 15, "FirstOfMonth"),
    ("Weekly", 20, "FirstOfWeek"),
)
EVERY = {"PT1H": "hour", "PT4H": "4 hours", "PT6H": "6 hours", "PT12H": "12 hours"}
EVERY |= {"P1D": "day", "P1W": "week"}
_ANCHOR = "2026-01-01"
_NONE = Duration()


class SimplePolicy(msgspec.Struct, kw_only=True, frozen=True):
    """`every`: one of EVERY, counted from `anchor` (a day) at `at` (HH:MM) in `zone`.

    A count of 0 keeps none of that kind. window: days of which every second can be restored.
    """

    every: str = "P1D"
    at: str = "02:00"
    zone: str = "UTC"
    days: int = 14
    weeks: int = 8
    months: int = 13
    years: int = 10
    window: int = 0
    backup_type: str = FULL
    rule: str = "BackupDaily"
    anchor: str = _ANCHOR

    def to_properties(self) -> dict[str, Any]:
        """As ARM has it. Raises Invalid."""
        if self.every not in EVERY:
            raise Invalid("this interval is not offered", hint=f"use one of {', '.join(EVERY)}")
        kept = [(DEFAULT_TAG, f"P{self.days}D"), ("Weekly", f"P{self.weeks}W")]
        kept += [("Monthly", f"P{self.months}M"), ("Yearly", f"P{self.years}Y")]
        counts = {"Weekly": self.weeks, "Monthly": self.months, "Yearly": self.years}
        wanted = {DEFAULT_TAG, *(name for name, count in counts.items() if count)}
        tags = [tag for tag in _TAGS if tag[0] in wanted]
        made = tagged_policy(
            self.rule, self._interval(), tags, [each for each in kept if each[0] in wanted]
        )
        made["policyRules"][0]["backupParameters"]["backupType"] = self.backup_type
        made["policyRules"][0]["trigger"]["schedule"]["timeZone"] = self.zone
        return with_window(made, self.window)

    def _interval(self) -> str:
        zone = zone_of(self.zone)
        try:
            day, time = Date.parse_iso(self.anchor), Time.parse_iso(f"{self.at}:00")
        except ValueError as error:
            raise Invalid(f"{self.at[:20]!r} is no time", hint="write it as 02:00") from error
        begin = day.at(time).assume_tz(zone, disambiguation="compatible").to_fixed_offset()
        return f"R/{begin.format_iso()}/{self.every}"


def simple_of(text: str | Mapping[str, Any]) -> SimplePolicy | None:
    """The simple policy that says the same; None when there is none."""
    return simple_of_policy(parse_policy(text))


def simple_of_policy(policy: BackupPolicy) -> SimplePolicy | None:
    """The same, of one that has been read."""
    if len(policy.backup_rules) != 1 or len(policy.backup_rules[0].intervals) != 1:
        return None
    rule = policy.backup_rules[0]
    anchor = rule.intervals[0].anchor
    every = next((each for each in EVERY if _seconds(each) == rule.intervals[0].seconds), "")
    lengths = {each.name: each.duration for each in policy.retention_rules}
    made = SimplePolicy(
        every=every or "P1D",
        at=f"{anchor.hour:02}:{anchor.minute:02}",
        zone="UTC" if rule.time_zone == "Etc/UTC" else rule.time_zone,
        days=lengths.get(DEFAULT_TAG, _NONE).days,
        weeks=lengths.get("Weekly", _NONE).weeks,
        months=lengths.get("Monthly", _NONE).months,
        years=lengths.get("Yearly", _NONE).years,
        window=policy.operational_days,
        backup_type=rule.backup_type,
        rule=rule.name,
        anchor=anchor.date().format_iso(),
    )
    return made if every and made.days and _says_the_same(made, policy) else None


def _says_the_same(made: SimplePolicy, policy: BackupPolicy) -> bool:
    try:
        return parse_policy(made.to_properties()) == policy
    except Invalid:
        return False


def _seconds(every: str) -> int:
    hours = {"PT1H": 1, "PT4H": 4, "PT6H": 6, "PT12H": 12, "P1D": 24, "P1W": 168}
    return hours[every] * 3600
