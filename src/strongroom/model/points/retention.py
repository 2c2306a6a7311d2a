"""Which tag a recovery point gets, why, and when it expires.

Fixed at commit for ever; but one that looked wrong and was accepted is judged once more.

First of a period means the first *committed* point of that period, in the policy's time zone,
that has this tag, or one that goes before it and is kept at least as long: the year's first point
is the month's and the week's too, but a tag that is kept a week never uses up the month. An
on-demand point of the default tag uses nothing up. A week begins on Sunday, as in Azure. Expiry
is calendar arithmetic: P1M after 31 January is the last day of February. A point is never expired
by a later one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import repeat

from whenever import Instant, ZonedDateTime

from strongroom.model.protection.policy import (
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
    """The tag, the time it ends, and a sentence that says why."""

    tag: str
    expires_at: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class Fire:
    """A backup that a policy will take, if nothing comes between."""

    at: Instant
    rule_name: str
    verdict: Verdict


def tag_for(
    policy: BackupPolicy,
    rule_name: str,
    taken_at: Instant,
    earlier: Sequence[Point],
    override: str | None = None,
    due_at: Instant | None = None,
) -> Verdict:
    """Decide for one new point. `override` is the tag that an on-demand backup asked for.

    Of the `earlier` points the newest of each tag is enough: periods go by in order.

    `due_at`: when it should have begun, where it is a scheduled one. What speaks of the calendar
    goes by that: Sunday's point that had to wait for its window until Monday stays Sunday's.

    It always decides: a point that was read for hours is kept by the default rule when its own
    rule has meanwhile left the policy.
    """
    rule = _rule(policy, rule_name)
    default = next(rule.name for rule in policy.retention_rules if rule.is_default)
    if rule is None:
        return _verdict(
            policy, override or default, taken_at.to_tz("UTC"), "its rule has left the policy"
        )
    local = taken_at.to_tz(rule.time_zone)
    if override:
        return _verdict(policy, override, local, "asked for by whoever triggered it")
    for tagging in rule.tagging:
        due = due_at.to_tz(rule.time_zone) if due_at is not None else local
        reason = _why(policy, rule, tagging, (local, due), earlier)
        if reason:
            return _verdict(policy, tagging.tag, local, reason)
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


def tag_of_end(policy: BackupPolicy, taken_at: Instant, ends: Instant, tag: str) -> str:
    """The one tag of which a point taken then ends so, give or take a second.

    `tag`, as it was committed, where that is kept as long, or is not the default one (no other is
    ever promoted), or where none or several others are kept so long.
    """
    own = policy.retention_for(tag)
    zones = {rule.time_zone for rule in policy.backup_rules}
    found = {
        rule.name
        for rule in policy.retention_rules
        for zone in zones
        if abs((expiry(taken_at.to_tz(zone), rule.duration) - ends).total("seconds")) <= 1
    }
    if len(found) == 1 and own.is_default and own.name not in found:
        return found.pop()
    return tag


def coming(policy: BackupPolicy, after: Instant, earlier: Sequence[Point] = ()) -> Iterator[Fire]:
    """What the policy will do, in order and without end unless its repeats are used up.

    The tags are those that the points will get when every one of them is committed.
    """
    newest: dict[str, Point] = {}
    for time, tag in earlier:
        if time >= newest.get(tag.lower(), (time, tag))[0]:
            newest[tag.lower()] = (time, tag)
    before: tuple[Instant, str] | None = None
    # Two intervals of a rule that meet are one backup; two rules that meet are two.
    for fire in merge(*_times(policy, after)):
        if fire == before:
            continue
        before = time, rule_name = fire
        verdict = tag_for(policy, rule_name, time, list(newest.values()))
        newest[verdict.tag.lower()] = (time, verdict.tag)
        yield Fire(time, rule_name, verdict)


def _times(policy: BackupPolicy, after: Instant) -> list[Iterable[tuple[Instant, str]]]:
    """The times of each interval, with the rule that it is of."""
    return [
        zip(interval.after(after), repeat(rule.name), strict=False)
        for rule in policy.backup_rules
        for interval in rule.intervals
    ]


def _rule(policy: BackupPolicy, name: str) -> BackupRule | None:
    for rule in policy.backup_rules:
        if rule.name.lower() == name.lower():
            return rule
    return None


def _verdict(policy: BackupPolicy, tag: str, local: ZonedDateTime, reason: str) -> Verdict:
    kept = policy.retention_for(tag)
    if kept.name.lower() != tag.lower():
        reason = f"its tag {tag} has left the policy"
    return Verdict(kept.name, expiry(local, kept.duration), f"{kept.name}: {reason}")


def _why(
    policy: BackupPolicy,
    rule: BackupRule,
    tagging: Tagging,
    times: tuple[ZonedDateTime, ZonedDateTime],
    earlier: Sequence[Point],
) -> str:
    """`times`: when it was taken, and when it was due. Empty: the tag is not for it."""
    local, due = times
    if tagging.is_default and not tagging.criteria:
        return "no other tag applies"
    for criteria in tagging.criteria:
        if criteria.names_days and not _calendar_fits(criteria, due):
            continue
        first = _absolute(
            criteria,
            local,
            lambda word: _is_used_up(policy, rule, tagging, (word, local), earlier),
        )
        if first is not None:
            return " and ".join([*first, *_calendar_words(criteria, due)])
    return ""


def _is_used_up(
    policy: BackupPolicy,
    rule: BackupRule,
    tagging: Tagging,
    period: tuple[str, ZonedDateTime],
    earlier: Sequence[Point],
) -> bool:
    """Whether a point of this period counts as one of this tag: it has it, or a better one."""
    word, local = period
    now, tag = _period(word, local), tagging.tag.lower()

    def is_in_it(time: Instant) -> bool:
        return _period(word, time.to_tz(rule.time_zone)) == now

    if any(other.lower() == tag and is_in_it(time) for time, other in earlier):
        return True
    before = {t.tag.lower() for t in rule.tagging if t.priority <= tagging.priority}
    others = [other for time, other in earlier if other.lower() in before and is_in_it(time)]
    if not others:
        return False
    ends = expiry(local, policy.retention_for(tag).duration)
    return any(expiry(local, policy.retention_for(o).duration) >= ends for o in others)


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


def _calendar_words(criteria: Criteria, local: ZonedDateTime) -> list[str]:
    """What of the calendar counted, for a person."""
    date = local.date()
    words = []
    if criteria.days_of_month:
        words.append(f"day {date.day} of the month")
    if criteria.weeks_of_month or criteria.days_of_week:
        words.append(f"a {DAYS[date.day_of_week().value - 1]} in week {(date.day - 1) // 7 + 1}")
    if criteria.months_of_year:
        words.append(MONTHS[date.month - 1])
    if criteria.times:
        words.append(f"{local.hour:02}:{local.minute:02}")
    return words


def _absolute(
    criteria: Criteria, local: ZonedDateTime, is_used_up: Callable[[str], bool]
) -> list[str] | None:
    """Why a first-of-period fits (one of several is enough); None when none does.

    Empty for criteria that speak of the calendar alone.
    """
    for word in criteria.absolute:
        if word == "AllBackup":
            return ["every backup"]
        if not is_used_up(word):
            return [f"the first point of {_period_words(word, local)}"]
    return None if criteria.absolute or criteria == Criteria() else []


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


def _period_words(word: str, time: ZonedDateTime) -> str:
    period = _period(word, time)
    if word == "FirstOfMonth":
        return f"{MONTHS[period[1] - 1]} {period[0]}"
    text = "-".join(f"{part:02}" for part in period)
    return f"the week of {text}" if word == "FirstOfWeek" else text
