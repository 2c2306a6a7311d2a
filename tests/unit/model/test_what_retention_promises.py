"""G1: what retention promises, of lines of points that are drawn: policies, zones, lost nights.

Each promise is looked for in every kind of line; docs/security.md has the table, with the number
of lines in each cell. `UPDATE_GOLDEN=1` writes it anew.
"""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from whenever import Instant

from oracle.almanac import length_of, moved, period_of, zone_named
from policies_drawn import a_policy, a_zone, an_interval
from security_page import check_table
from strongroom.model.ids import GenerationId, InstanceId, JobId, RecoveryPointId
from strongroom.model.points.expiry import plan
from strongroom.model.points.preview import Preview
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.points.retention import Fire, Verdict, coming, tag_for
from strongroom.model.protection.policy import BackupPolicy, parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy

pytestmark = pytest.mark.G1
LINES, POINTS, DAYS = 105, 50, 3  # of each kind; in a line; days on which one is looked at
TIERS = {"Weekly": "FirstOfWeek", "Monthly": "FirstOfMonth", "Yearly": "FirstOfYear"}
RANK = ["Default", *TIERS]  # each is kept at least as long as the one before
LADDERS = [
    {"Default": "P1D", "Weekly": "P2W", "Monthly": "P3M", "Yearly": "P2Y"},
    {"Default": "P14D", "Weekly": "P8W", "Monthly": "P13M", "Yearly": "P10Y"},
    {"Default": "P5D", "Weekly": "P5W", "Monthly": "P5W", "Yearly": "P400D"},
    {"Default": "P30D", "Weekly": "P30D", "Monthly": "P1Y", "Yearly": "P99Y"},
]
KINDS = {
    "daily": "a point a day",
    "often": "several a day",
    "seldom": "one a week or a month",
    "lost": "a third of them lost",
    "by hand": "and more by hand",
}
PERIODS = {"often": ("PT4H", "PT6H"), "seldom": ("P1W", "P2W", "P1M")}


@dataclass(frozen=True)
class Taken:
    """A point: when, the tag that somebody asked for (None: nobody), and what became of it."""

    at: Instant
    asked: str | None
    verdict: Verdict

    @property
    def end(self) -> datetime:
        return self.verdict.expires_at.to_stdlib()


@dataclass(frozen=True)
class Line:
    """All points of one server in their order. `ladder`: its tiers, if it has some."""

    policy: BackupPolicy
    body: dict[str, Any]
    ladder: dict[str, str] | None
    points: list[Taken]
    chance: random.Random
    whole: bool  # nothing was lost, nobody asked

    @property
    def rule(self) -> str:
        return self.policy.backup_rules[0].name

    def days(self) -> list[datetime]:
        """Some moments from the first point until long after the last."""
        first, last = self.points[0].at.to_stdlib(), self.points[-1].at.to_stdlib()
        span = (last - first).total_seconds() * 2
        return [first + timedelta(seconds=self.chance.random() * span) for _ in range(DAYS)]

    def living(self, day: datetime, points: Iterable[Taken] | None = None) -> set[Instant]:
        """By the oracle's rule: not over, or the newest."""
        there = [p for p in points or self.points if p.at.to_stdlib() <= day]
        return {p.at for p in there if p.end > day or p is there[-1]}


def tiers(chance: random.Random, ladder: dict[str, str], interval: str) -> dict[str, Any]:
    body: dict[str, Any] = ten_years_policy()
    schedule = body["policyRules"][0]["trigger"]["schedule"]
    schedule |= {"timeZone": a_zone(chance), "repeatingTimeIntervals": [interval]}
    for rule in body["policyRules"][1:]:
        rule["lifecycles"][0]["deleteAfter"]["duration"] = ladder[rule["name"]]
    return body


def tag_all(policy: BackupPolicy, times: Iterable[tuple[Instant, str | None]]) -> list[Taken]:
    newest: dict[str, tuple[Instant, str]] = {}
    found = []
    for at, asked in times:
        verdict = tag_for(policy, policy.backup_rules[0].name, at, [*newest.values()], asked)
        newest[verdict.tag.lower()] = at, verdict.tag
        found.append(Taken(at, asked, verdict))
    return found


def a_line(chance: random.Random, kind: str) -> Line:
    period = chance.choice(PERIODS.get(kind, ("P1D", "P1D", "P2D")))
    ladder = chance.choice([*LADDERS, None, None])
    body = a_policy(chance, (period,))
    if ladder is not None:
        body = tiers(chance, ladder, an_interval(chance, period))
    policy = parse_policy(json.dumps(body))
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=chance.randint(0, 7000))
    times: list[tuple[Instant, str | None]] = [
        (fire.at, None) for fire in islice(coming(policy, Instant(start)), POINTS)
    ]
    if kind == "lost":
        times = [each for each in times if chance.random() > 1 / 3] or times[:1]
    if kind == "by hand":
        tags = [None, *(rule.name for rule in policy.retention_rules)]
        first, last = times[0][0], times[-1][0]
        width = (last - first).total("seconds")
        more = {first.add(seconds=round(chance.random() * width)) for _ in range(12)}
        times += [(at, chance.choice(tags)) for at in more - {at for at, _ in times}]
        times.sort(key=lambda each: each[0])
    whole = kind not in {"lost", "by hand"}
    return Line(policy, body, ladder, tag_all(policy, times), chance, whole)


# The promises. Each says whether the line has anything to do with it, and asserts it.


def every_period_keeps_one(line: Line) -> bool:
    """For as long as its tier is kept, at that tier or above."""
    if line.ladder is None:
        return False
    zone = zone_named(line.body["policyRules"][0]["trigger"]["schedule"]["timeZone"])
    for day in line.days():
        there = line.living(day)
        for tag, word in TIERS.items():
            firsts: dict[Any, Taken] = {}
            for point in line.points:
                at = point.at.to_stdlib()
                counts = point.asked is None or RANK.index(point.asked) >= RANK.index(tag)
                if at <= day and counts:
                    firsts.setdefault(period_of(word, at.astimezone(zone)), point)
            for period, first in firsts.items():
                at = first.at.to_stdlib()
                if moved(at, length_of(line.ladder[tag]), zone) <= day:
                    continue
                kept = [
                    point
                    for point in line.points
                    if point.at in there
                    and RANK.index(point.verdict.tag) >= RANK.index(tag)
                    and period_of(word, point.at.to_stdlib().astimezone(zone)) == period
                ]
                assert kept, (tag, period, day)
    return True


def no_order_matters(line: Line) -> bool:
    """In which earlier points are told; and the newest of each tag tell all that the rest do."""
    for number in line.chance.sample(range(len(line.points)), min(6, len(line.points))):
        point = line.points[number]
        earlier = [(other.at, other.verdict.tag) for other in line.points[:number]]
        line.chance.shuffle(earlier)
        assert tag_for(line.policy, line.rule, point.at, earlier, point.asked) == point.verdict
    return True


def one_more_shortens_nothing(line: Line) -> bool:
    """A point of the default tag that is put in between, which somebody asked for."""
    default = next(rule.name for rule in line.policy.retention_rules if rule.is_default)
    times: list[tuple[Instant, str | None]] = [(p.at, p.asked) for p in line.points]
    at = line.points[line.chance.randrange(len(line.points))].at.add(seconds=77)
    added = sorted([*times, (at, default)], key=lambda each: each[0])
    among = {point.at: point for point in tag_all(line.policy, added)}
    for point in line.points:
        assert among[point.at] == point
    for day in line.days():
        newest = max((p.at for p in line.points if p.at.to_stdlib() <= day), default=None)
        assert line.living(day) - {newest} <= line.living(day, sorted_by_time(among.values()))
    return True


def sorted_by_time(points: Iterable[Taken]) -> list[Taken]:
    return sorted(points, key=lambda point: point.at)


def longer_keeps_all_that_shorter_does(line: Line) -> bool:
    if line.ladder is None:
        return False
    step = {"D": 9, "W": 2, "M": 5, "Y": 1}
    longer = {}
    for tag, text in line.ladder.items():
        longer[tag] = f"P{int(text[1:-1]) + step[text[-1]]}{text[-1]}"
    body = json.loads(json.dumps(line.body))
    for rule in body["policyRules"][1:]:
        rule["lifecycles"][0]["deleteAfter"]["duration"] = longer[rule["name"]]
    grown = tag_all(parse_policy(body), [(p.at, p.asked) for p in line.points])
    ranked = [longer[tag] for tag in RANK]
    if ranked != sorted(ranked, key=lambda text: moved(_NEW_YEAR, length_of(text), UTC)):
        return False  # a tier is kept shorter than one below it now: it takes other points
    for day in line.days():
        assert line.living(day) <= line.living(day, grown)
    return True


_NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def _rows(line: Line) -> list[RecoveryPoint]:
    return [
        a_point(n, p.at, p.verdict.tag, p.verdict.expires_at) for n, p in enumerate(line.points)
    ]


def a_point(number: int, taken: Instant, tag: str, ends: Instant) -> RecoveryPoint:
    return RecoveryPoint(
        id=RecoveryPointId(f"{number:032x}"),
        instance_id=InstanceId("i"),
        job_id=JobId("j"),
        kind="Full",
        taken_at=taken,
        committed_at=taken,
        expires_at=ends,
        tag=tag,
        policy_id="p",
        policy_version=1,
        policy_name="p",
        generation=GenerationId("g"),
        manifest_size=1,
        manifest_blake3=b"",
        raw_bytes=1,
        stored_bytes=1,
        facts={},
        state="Completed",
    )


def _going(rows: list[RecoveryPoint], day: datetime, stays: dict[str, str]) -> set[str]:
    there = [row for row in rows if row.taken_at.to_stdlib() <= day]
    return {e.point.id for e in plan(there, Instant(day), busy=False, stays=stays) if e.goes}


def what_is_held_stays(line: Line) -> bool:
    rows = _rows(line)
    held = {row.id: "it is held" for row in rows if line.chance.random() < 0.3}
    for day in line.days():
        going = _going(rows, day, held)
        assert going == _going(rows, day, {}) - held.keys()
    return True


def the_last_good_point_stays(line: Line) -> bool:
    """Of those that were proven, or that nothing speaks against."""
    rows = _rows(line)
    for row in rows:
        if line.chance.random() < 0.5:
            row.facts = {"drill": {"verdict": "Failed"}} if row.id[-1] < "8" else {"damaged": 1}
    for day in [*line.days(), line.points[-1].at.to_stdlib() + timedelta(days=80_000)]:
        good = [row for row in rows if not row.facts and row.taken_at.to_stdlib() <= day]
        going = _going(rows, day, {})
        assert (good[-1].id not in going) if good else not going
    return True


def what_is_shown_ahead_is_done(line: Line) -> bool:
    if not line.whole:
        return False
    fires = [Fire(point.at, line.rule, point.verdict) for point in line.points]
    shown = Preview(line.policy, fires[0].at, fires[-1].at, fires)
    rows = _rows(line)
    for day in line.days():
        there = {row.taken_at for row in rows if row.taken_at.to_stdlib() <= day}
        gone = {rows[int(name, 16)].taken_at for name in _going(rows, day, {})}
        assert {kept.fire.at for kept in shown.at(Instant(day))} == there - gone
    return True


PROMISES: dict[str, Callable[[Line], bool]] = {
    "every week, month and year keeps a point for as long as its tier is kept": (
        every_period_keeps_one
    ),
    "no order of points matters, and of each tag the newest is enough": no_order_matters,
    "one point more takes nothing from any other": one_more_shortens_nothing,
    "longer durations keep whatever shorter ones keep": longer_keeps_all_that_shorter_does,
    "what is held stays, and nothing else for it": what_is_held_stays,
    "the last good point stays": the_last_good_point_stays,
    "what is shown ahead is what is done": what_is_shown_ahead_is_done,
}


def check_promises(seed: int, lines: int) -> dict[str, list[str]]:
    """Promise -> in how many lines of each kind it was looked for, and held."""
    found: dict[str, list[str]] = {says: [] for says in PROMISES}
    for kind in KINDS:
        drawn = [a_line(random.Random(f"{seed}-{kind}-{n}"), kind) for n in range(lines)]
        for says, holds in PROMISES.items():
            count = sum(holds(line) for line in drawn)
            found[says].append(str(count) if count else "")
    return found


def test_the_page_tells_in_how_many_lines_each_promise_was_kept() -> None:
    table = check_promises(18, LINES)
    assert sum(int(cell or 0) for cells in table.values() for cell in cells) >= 3000
    check_table("promises of retention", [*KINDS.values()], table)
