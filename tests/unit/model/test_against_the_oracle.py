"""C2, G1: schedules, tags, ends and previews against the oracle, over policies drawn by chance."""

import json
import random
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from whenever import Instant

from oracle.almanac import Interval, zone_named
from oracle.tagging import Reading, verdict
from policies_drawn import a_policy, a_zone, an_interval
from strongroom.model.points.preview import preview
from strongroom.model.points.retention import coming, tag_for
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.schedule import Repeating, zone_of

SCHEDULES, POLICIES, PREVIEWS = 2000, 80, 4  # of every commit; the campaign has more
# Leap days, changes of the clock, week 53, the end of 32-bit seconds.
SEAMS = [
    datetime(2024, 2, 28, tzinfo=UTC),
    datetime(2024, 3, 30, tzinfo=UTC),
    datetime(2026, 10, 24, tzinfo=UTC),
    datetime(2026, 12, 26, tzinfo=UTC),
    datetime(2038, 1, 18, tzinfo=UTC),
    datetime(2100, 2, 27, tzinfo=UTC),
]


def a_moment(chance: random.Random) -> datetime:
    """Half of them close to a seam."""
    if chance.random() < 0.5:
        return chance.choice(SEAMS) + timedelta(minutes=chance.randint(-3000, 6000))
    return datetime(2019, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randint(0, 20 * 525_600))


def check_schedules(seed: int, count: int) -> None:
    """C2: each names the times that a slow calendar names."""
    chance = random.Random(seed)
    for case in range(count):
        text, name, moment = an_interval(chance), a_zone(chance), a_moment(chance)
        rule = Repeating.parse(text, name)
        slow = Interval.of(text, zone_named(name))
        expected = list(islice(slow.after(moment), 4))
        found = [time.to_stdlib() for time in islice(rule.after(Instant(moment)), 4)]
        assert found == expected, (seed, case, text, name, moment)


def check_tagging(seed: int, count: int, points: int = 80) -> None:
    """G1: the same tag, the same end, with nights that are lost, waits, overrides."""
    chance = random.Random(seed)
    for case in range(count):
        body = a_policy(chance, ("P1D", "PT6H", "P1W"), rules=chance.choice((1, 1, 2)))
        policy, reading = parse_policy(json.dumps(body)), Reading(body)
        past: list[tuple[datetime, str]] = []
        ours: list[tuple[Instant, str]] = []
        for fire in islice(coming(policy, Instant(a_moment(chance))), points):
            if chance.random() < 0.2:
                continue
            due = fire.at.to_stdlib()
            taken = due + timedelta(hours=chance.choice((0, 0, 0, 1, 30)))
            asked = chance.choice(("Default", "Tag0")) if chance.random() < 0.1 else ""
            told = verdict(reading, fire.rule_name, taken, past, asked, due)
            found = tag_for(
                policy, fire.rule_name, Instant(taken), ours, asked or None, Instant(due)
            )
            assert (found.tag, found.expires_at.to_stdlib()) == told, (seed, case, due)
            past.append((taken, told[0]))
            ours.append((Instant(taken), found.tag))


def fires_of(reading: Reading, start: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """The times at which the policy's rules are due; a rule's own that meet are one."""
    found = set()
    for rule in reading.rules:
        for text in reading.intervals(rule):
            for time in Interval.of(text, reading.zone(rule)).after(start):
                if time > end:
                    break
                found.add((time, rule))
    return sorted(found)


def living(points: list[tuple[datetime, datetime]], moment: datetime) -> set[datetime]:
    """Of (taken, end): those that exist; the last one always does."""
    taken = [(at, end) for at, end in points if at <= moment]
    return {at for at, end in taken if end > moment or (at, end) == taken[-1]}


def check_previews(seed: int, count: int) -> None:
    """What a look ahead shows on any day of ten years is what the oracle computes for it."""
    chance = random.Random(seed)
    for case in range(count):
        body = a_policy(chance, ("P1D", "P1W", "P1M"))
        reading = Reading(body)
        start = datetime(2026, 1, 1, tzinfo=UTC)
        found = preview(parse_policy(json.dumps(body)), Instant(start), 10)
        last: dict[str, datetime] = {}  # of each tag: periods go by in order
        points = []
        for time, rule in fires_of(reading, start, found.until.to_stdlib()):
            tag, end = verdict(reading, rule, time, [(at, tag) for tag, at in last.items()])
            last[tag] = time
            points.append((time, end))
        for _ in range(40):
            day = start + timedelta(minutes=chance.randint(0, 10 * 525_600))
            shown = {kept.fire.at.to_stdlib() for kept in found.at(Instant(day))}
            assert shown == living(points, day), (seed, case, day)


def test_schedules_name_the_times_that_a_slow_calendar_names() -> None:
    check_schedules(18, SCHEDULES)


def test_tags_and_ends_are_those_that_the_text_of_the_policy_gives() -> None:
    check_tagging(18, POLICIES)


def test_a_look_ahead_shows_what_the_oracle_computes() -> None:
    check_previews(18, PREVIEWS)


@pytest.mark.parametrize("name", ["W. Europe Standard Time", "Samoa Standard Time"])
def test_the_oracle_knows_windows_names_as_we_do(name: str) -> None:
    assert str(zone_named(name)) == zone_of(name)
