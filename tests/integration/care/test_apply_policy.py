"""G3: a policy that is edited, and applied to the points that exist, with and without locks."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from whenever import Instant

from lapse import Lapse
from oracle.almanac import length_of, moved, zone_named
from strongroom.control import holds, policies, reapplying
from strongroom.model.arm import VaultRef
from strongroom.model.hold import HoldWish
from strongroom.model.ids import GenerationId, InstanceId, JobId, RecoveryPointId
from strongroom.model.policy import parse_policy
from strongroom.model.policy_templates import ten_years_policy
from strongroom.model.reapply import plan
from strongroom.model.recovery_point import RecoveryPoint

START = datetime(2026, 1, 1, 1, tzinfo=UTC)
INSTANCE = "id-of-pg"


def body(kept: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = ten_years_policy()
    for rule in found["policyRules"][1:]:
        lifecycle = rule["lifecycles"][0]
        lifecycle["deleteAfter"]["duration"] = kept.get(
            rule["name"], lifecycle["deleteAfter"]["duration"]
        )
    return found


class House(Lapse):
    """One server with ten points: one a day, of the first days of 2026."""

    def __init__(self, home: Path, immutability: str) -> None:
        super().__init__(home, START)
        self.home = self.vault("v", immutability)
        self.say({})
        self.protect(self.home, "pg", "policy")
        for day in range(10):
            self.go_to(START + timedelta(days=day, hours=2))
            for job in self.begin_due():
                self.run_stories()
                self.commit(job)

    def say(self, kept: dict[str, str]) -> None:
        policies.put_policy(self.control, self.caller, self.home, "policy", body(kept))

    def ends(self) -> dict[str, list[datetime]]:
        found: dict[str, list[datetime]] = {}
        for _, tag, ends in sorted(self.living().get(INSTANCE, ()), key=lambda each: each[2]):
            found.setdefault(tag, []).append(ends)
        return found

    def apply(self) -> None:
        reapplying.apply_policy(self.control, self.caller, self.home, "policy", "")
        self.run_stories()

    def hold(self) -> None:
        wish = HoldWish(name="case", point="", reason="")
        place: tuple[VaultRef, str] = self.home, "pg"
        holds.set_hold(self.control, self.caller, place, wish, "")
        self.run_stories()


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    found = House(tmp_path, getattr(request, "param", "Disabled"))
    with capture_logs():
        yield found
    found.close()


LOCKED = pytest.mark.parametrize("house", ["Disabled", "Unlocked", "Locked"], indirect=True)


@LOCKED
def test_an_edit_alone_changes_no_point(house: House) -> None:
    before = house.living()
    house.say({"Default": "P1D", "Yearly": "P20Y"})
    assert house.living() == before


@LOCKED
def test_longer_is_applied_with_its_lock_wherever_it_is_asked_for(house: House) -> None:
    before = house.ends()
    house.say({"Default": "P30D"})
    house.apply()
    after = house.ends()
    assert after["Yearly"] == before["Yearly"]
    assert after["Default"] == [end + timedelta(days=16) for end in before["Default"]]
    shelf = house.shelves.container(INSTANCE)
    for point, _, ends in house.living()[INSTANCE]:
        for name in (f"p/{point}.manifest", f"p/{point}.receipt", f"g/{point}/"):
            assert shelf.locked_until(name).to_stdlib() >= ends
    assert house.stories.waiting == []


@LOCKED
def test_shorter_never_outruns_a_lock(house: House) -> None:
    before = house.ends()
    house.say({"Default": "P3D"})
    told = reapplying.plan_application(house.control, house.caller, house.home, "policy")
    house.apply()
    if house.shelves.container(INSTANCE).state.state != "Disabled":
        assert house.ends() == before
        assert {change.why for _, change in told} == {"the vault is immutable: its lock stays"}
        return
    assert house.ends()["Default"] == [end - timedelta(days=11) for end in before["Default"]]


def test_shorter_never_outruns_a_hold(house: House) -> None:
    before = house.living()
    house.hold()
    house.say({"Default": "P3D"})
    house.apply()
    assert house.living() == before


def test_a_point_that_was_shortened_goes_with_its_receipt_and_no_sooner(house: House) -> None:
    house.say({"Default": "P3D"})
    house.apply()
    house.go_to(START + timedelta(days=11))
    house.expire(InstanceId(INSTANCE))
    there = {point for point, _, _ in house.living()[INSTANCE]}
    names = {name for name in house.shelves.container(INSTANCE).objects if name.startswith("p/")}
    assert names == {f"p/{p}.{kind}" for p in there for kind in ("manifest", "receipt")}
    assert 3 <= len(there) < 10
    house.apply()
    assert {point for point, _, _ in house.living()[INSTANCE]} == there


def test_a_point_of_a_tag_that_has_left_the_policy_ends_as_it_was_promised(house: House) -> None:
    before = house.ends()
    changed = body({})
    del changed["policyRules"][2]
    tagging = changed["policyRules"][0]["trigger"]["taggingCriteria"]
    changed["policyRules"][0]["trigger"]["taggingCriteria"] = [
        each for each in tagging if each["tagInfo"]["tagName"] != "Weekly"
    ]
    policies.put_policy(house.control, house.caller, house.home, "policy", changed)
    house.apply()
    assert house.ends() == before


def a_point(number: int, taken: datetime, tag: str, ends: datetime) -> RecoveryPoint:
    return RecoveryPoint(
        id=RecoveryPointId(f"{number:032x}"),
        instance_id=InstanceId("i"),
        job_id=JobId("j"),
        kind="Full",
        taken_at=Instant(taken),
        committed_at=Instant(taken),
        expires_at=Instant(ends),
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
            points.append(a_point(number, taken, tag, ends))
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
