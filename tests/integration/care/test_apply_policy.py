"""G3: a policy that is edited, and applied to the points that exist, with and without locks."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from whenever import Instant

from integration.care.test_policy_edits import KEPT, START, House, a_house, body
from oracle.almanac import length_of, moved, zone_named
from strongroom.model.ids import InstanceId
from strongroom.model.points.reapply import plan
from strongroom.model.protection.policy import parse_policy
from unit.model.test_what_retention_promises import a_point

pytestmark = pytest.mark.G3
INSTANCE = "id-of-pg"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with a_house(tmp_path / "house", "Disabled") as found:
        yield found


def test_a_point_that_was_shortened_goes_with_its_receipt_and_no_sooner(house: House) -> None:
    house.say("policy", {**KEPT, "Default": "P3D"})
    house.apply("policy")
    house.go_to(START + timedelta(days=11))
    house.expire(InstanceId(INSTANCE))
    there = {point for point, _, _ in house.living()[INSTANCE]}
    names = {name for name in house.shelves.container(INSTANCE).objects if name.startswith("p/")}
    assert names == {f"p/{p}.{kind}" for p in there for kind in ("manifest", "receipt")}
    assert 3 <= len(there) < 10
    house.apply("policy")
    assert {point for point, _, _ in house.living()[INSTANCE]} == there


def test_no_edit_shortens_what_is_locked_or_held_and_each_point_ends_as_the_text_says() -> None:
    chance = random.Random(18)
    lengths = ("P1D", "P14D", "P1M", "P13M", "P1Y", "P10Y")
    for _ in range(300):
        kept = {tag: chance.choice(lengths) for tag in ("Default", "Weekly", "Monthly", "Yearly")}
        policy = parse_policy(body(kept))
        points = []
        for number in range(12):
            taken = datetime(2024, 1, 31, tzinfo=UTC) + timedelta(hours=chance.randint(0, 30_000))
            tag = chance.choice([*kept, "Gone"])
            ends = taken + timedelta(days=chance.randint(1, 4000))
            points.append(a_point(number, Instant(taken), tag, Instant(ends)))
        held = {point.id: "held" for point in points if chance.random() < 0.3}
        immutable = chance.random() < 0.5
        found = plan(policy, points, immutable=immutable, stays=held)
        for change in found:
            before, after = change.point.expires_at, change.ends
            said = moved(
                change.point.taken_at.to_stdlib(),
                length_of(kept[change.point.tag]),
                zone_named("UTC"),
            )
            bound = immutable or change.point.id in held
            assert after.to_stdlib() == (max(before.to_stdlib(), said) if bound else said)
        unchanged = {point.id for point in points} - {change.point.id for change in found}
        for point in points:
            if point.id in unchanged and point.tag in kept:
                said = moved(
                    point.taken_at.to_stdlib(), length_of(kept[point.tag]), zone_named("")
                )
                assert point.expires_at.to_stdlib() == said
