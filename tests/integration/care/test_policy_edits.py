"""G3: what an edit of a policy, or another policy, does to the points that exist.

Each cell is done to ten points of a server, in a vault that is as the column says, and compared
with the text of the policy as the oracle reads it. docs/security.md has the table;
`UPDATE_GOLDEN=1` writes it anew.
"""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from whenever import Instant

from lapse import GROUP, SUBSCRIPTION, Lapse
from oracle.almanac import length_of, moved, zone_named
from security_page import check_table
from strongroom.catalog.identities import role_assignments
from strongroom.catalog.protection import instances as instance_rows
from strongroom.catalog.resources import policies as policy_rows
from strongroom.catalog.tables import tables
from strongroom.control.basis import guarded
from strongroom.control.identities.identity import create_service_principal
from strongroom.control.points import holds
from strongroom.control.protection import instances, policies, reapplying
from strongroom.control.resources import guards
from strongroom.model import arm
from strongroom.model.arm import PolicyRef, ServerRef
from strongroom.model.conditions import Conditions
from strongroom.model.errors import Forbidden
from strongroom.model.identities.access import MUA_OPERATOR, OWNER
from strongroom.model.points.hold import HoldWish
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.model.resources import guard
from strongroom.model.work.operation import ServerFacts

pytestmark = pytest.mark.G3
START = datetime(2026, 1, 1, 1, tzinfo=UTC)
EDITS = 8  # of every commit, in each kind of vault; the campaign has more
POINTS = 10  # one a day: the year's first, two weeks' and seven of the default tag
KEPT = {"Default": "P14D", "Weekly": "P8W", "Monthly": "P13M", "Yearly": "P10Y"}
LESS = {"Default": "P13D", "Weekly": "P3W", "Monthly": "P3M", "Yearly": "P2Y"}
MORE = {"Default": "P1M", "Weekly": "P1Y", "Monthly": "P3Y", "Yearly": "P25Y"}
Kept = dict[str, str]
COLUMNS = {
    "Disabled": "`Disabled`",
    "held": "`Disabled`, and held",
    "Unlocked": "`Unlocked`",
    "Locked": "`Locked`",
    "guard": "`Disabled`, under a guard, alone",
}


def body(kept: Kept) -> dict[str, Any]:
    """The built-in policy, without the tags that are not kept."""
    found: dict[str, Any] = ten_years_policy()
    rule, *others = found["policyRules"]
    others = [each for each in others if each["name"] in kept]
    for each in others:
        each["lifecycles"][0]["deleteAfter"]["duration"] = kept[each["name"]]
    tagging = [t for t in rule["trigger"]["taggingCriteria"] if t["tagInfo"]["tagName"] in kept]
    rule["trigger"]["taggingCriteria"] = tagging
    return {**found, "policyRules": [rule, *others]}


class House(Lapse):
    """One server with points of three tags."""

    def __init__(self, home: Path, column: str) -> None:
        super().__init__(home, START)
        self.home = self.vault("v", column if column in {"Unlocked", "Locked"} else "Disabled")
        for name in ("policy", "other"):
            self.say(name, KEPT)
        self.protect(self.home, "pg", "policy")
        self.taken: dict[str, datetime] = {}
        for day in range(POINTS):
            self.go_to(START + timedelta(days=day, hours=2))
            for job in self.begin_due():
                self.run_stories()
                self.taken[self.commit(job)] = self.clock.now().to_stdlib()
        self.before = self.ends()
        self.bound = column in {"held", "Unlocked", "Locked"}
        self.locks: dict[str, Instant] = {}
        self._let_it_change_its_policy()
        if column == "held":
            wish = HoldWish(name="case", point="", reason="")
            holds.set_hold(self.control, self.caller, (self.home, "pg"), wish, "")
            self.run_stories()
        if column == "guard":
            self._under_a_guard()

    def _let_it_change_its_policy(self) -> None:
        """Its vault has its roles; its agent has just said that it is ready."""
        now = self.clock.now()
        facts = msgspec.to_builtins(ServerFacts(name="local-PG-pg", ready=True))
        role: dict[str, Any] = {"id": "1", "scope": "/", "scope_key": "/", "role_id": OWNER.id}
        role |= {"principal_id": "who-v", "principal_type": "ServicePrincipal"}
        with self.database.writing() as connection:
            role_assignments.add(connection, {**role, "created_at": now, "created_by": "me"})
            connection.execute(tables.servers.update().values(facts=facts, seen_at=now))

    def _under_a_guard(self) -> None:
        who = (self.control, self.caller)
        roles = [(MUA_OPERATOR.id, arm.group_id_of(SUBSCRIPTION, GROUP))]
        create_service_principal(self.control, "approver", "a", "s" * 20, roles)
        guards.put_guard(*who, GROUP, "g", {"location": "local"}, Conditions())
        place = {"resourceGuardResourceId": arm.guard_id_of(SUBSCRIPTION, GROUP, "g")}
        guards.put_proxy(*who, self.home, guard.PROXY, place)

    def say(self, name: str, kept: Kept) -> None:
        policies.put_policy(self.control, self.caller, self.home, name, body(kept))

    def write(self, name: str, kept: Kept) -> None:
        """As if somebody had approved it."""
        with self.database.writing() as connection:
            found = policies.need_policy(connection, "id-of-v", name)
            text = json.dumps(body(kept))
            policy_rows.change(connection, found["id"], text, self.clock.now(), "me")

    def follow(self, name: str) -> None:
        asked = instances.Asked(
            server=ServerRef(resource_group=GROUP, name="PG-pg"),
            policy=PolicyRef(vault=self.home, name=name),
            properties={},
            tags={},
        )
        instances.put_instance(self.control, self.caller, self.home, "pg", asked, "")

    def give(self, name: str) -> None:
        """As if somebody had approved it."""
        with self.database.writing() as connection:
            found = policies.need_policy(connection, "id-of-v", name)
            instance_rows.change(connection, self.instance("pg"), policy_id=found["id"])

    def apply(self, name: str) -> None:
        reapplying.apply_policy(self.control, self.caller, self.home, name, "")
        self.run_stories()

    def ends(self) -> dict[str, tuple[str, datetime]]:
        """Point -> tag, end."""
        living = self.living()[self.instance("pg")]
        return {point: (tag, ends) for point, tag, ends in living}

    def as_it_was(self) -> None:
        """Before the next deed; what storage was told stays told."""
        for name in ("policy", "other"):
            self.write(name, KEPT)
        self.give("policy")
        table = tables.recovery_points
        with self.database.writing() as connection:
            for point, (_, ends) in self.before.items():
                query = table.update().where(table.c.id == point)
                connection.execute(query.values(expires_at=Instant(ends)))

    def refused(self, act: Callable[[], None], instead: Callable[[], None]) -> bool:
        """Whether it takes a second person; if so it is done by another way."""
        try:
            act()
        except Forbidden as error:
            if error.code != guarded.NEEDED:
                raise
            instead()
            return True
        return False

    def do(self, deed: "Deed") -> str:
        """What becomes of the points, in a word; asserts that it is as the text says."""
        self.as_it_was()
        name, kept = "other" if deed.another else "policy", deed.kept
        if deed.another:
            self.write(name, kept)
            refused = [self.refused(lambda: self.follow(name), lambda: self.give(name))]
        else:
            refused = [self.refused(lambda: self.say(name, kept), lambda: self.write(name, kept))]
        if deed.applied:
            refused.append(self.refused(lambda: self.apply(name), lambda: None))
        self._check(kept, applied=deed.applied and not refused[-1])
        if any(refused):
            return "refused" if all(refused) else "the edit is refused"
        return words(self.before, self.ends())

    def _check(self, kept: Kept, *, applied: bool) -> None:
        shelf = self.shelves.container(self.instance("pg"))
        for point, (tag, ends) in self.ends().items():
            before, expected = self.before[point][1], self.before[point][1]
            if applied and tag in kept:
                expected = moved(self.taken[point], length_of(kept[tag]), zone_named("UTC"))
                expected = max(expected, before) if self.bound else expected
            assert ends == expected, (tag, ends, expected)
            for name in (f"p/{point}.manifest", f"p/{point}.receipt", f"g/{point}/"):
                until = shelf.locked_until(name)
                assert until.to_stdlib() >= ends
                assert until >= self.locks.get(name, until)
                self.locks[name] = until


def words(before: dict[str, tuple[str, datetime]], after: dict[str, tuple[str, datetime]]) -> str:
    found = {
        "later" if ends > before[p][1] else "sooner" if ends < before[p][1] else ""
        for p, (_, ends) in after.items()
    }
    if "" in found or len(found) > 1:
        return " and ".join(f"some {each}" for each in sorted(found - {""})) or "as they were"
    return found.pop()


@dataclass(frozen=True)
class Deed:
    says: str
    kept: Kept
    applied: bool = False
    another: bool = False


MIXED = {**KEPT, "Default": "P3D", "Weekly": "P2Y"}
WITHOUT = {tag: length for tag, length in KEPT.items() if tag != "Weekly"}
DEEDS = [
    Deed("the policy keeps less", LESS),
    Deed("it keeps more", MORE),
    Deed("it keeps less, and is applied", LESS, applied=True),
    Deed("it keeps more, and is applied", MORE, applied=True),
    Deed("of one tag less, of another more, and applied", MIXED, applied=True),
    Deed("a tag is gone from it, and it is applied", WITHOUT, applied=True),
    Deed("another policy that keeps less", LESS, another=True),
    Deed("another that keeps more", MORE, another=True),
    Deed("another that keeps less, applied", LESS, applied=True, another=True),
    Deed("another that keeps more, applied", MORE, applied=True, another=True),
]


def drawn(chance: random.Random) -> Deed:
    lengths = ("P1D", "P13D", "P1M", "P13M", "P1Y", "P10Y", "P11Y", "P25Y")
    kept = {
        tag: chance.choice(lengths) for tag in KEPT if tag != "Weekly" or chance.random() < 0.9
    }
    another, applied = chance.random() < 0.5, chance.random() < 0.7
    return Deed("drawn", kept, applied=applied, another=another)


def check_edits(home: Path, seed: int, count: int) -> None:
    """So many edits that are drawn, in each kind of vault."""
    for column in COLUMNS:
        chance = random.Random(f"{seed}-{column}")
        with a_house(home / column, column) as house:
            for _ in range(count):
                house.do(drawn(chance))


@contextmanager
def a_house(home: Path, column: str) -> Iterator[House]:
    home.mkdir()
    with capture_logs():
        house = House(home, column)
        try:
            yield house
        finally:
            house.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {deed.says: [] for deed in DEEDS}
    home = tmp_path_factory.mktemp("edits")
    for column in COLUMNS:
        with a_house(home / column, column) as house:
            for deed in DEEDS:
                found[deed.says].append(house.do(deed))
    return found


def test_the_page_tells_what_an_edit_does_to_points(table: dict[str, list[str]]) -> None:
    check_table("edits of a policy", [*COLUMNS.values()], table)


def test_what_is_locked_or_held_never_ends_sooner(table: dict[str, list[str]]) -> None:
    kept = {said[number] for said in table.values() for number in (1, 2, 3)}
    assert not any("sooner" in said for said in kept)


def test_one_person_alone_has_nothing_kept_less_under_a_guard(
    table: dict[str, list[str]],
) -> None:
    less = {deed.says for deed in DEEDS if deed.kept != MORE}
    assert {says for says, said in table.items() if "refused" in said[4]} == less


def test_every_edit_that_is_drawn_does_as_its_text_says(tmp_path: Path) -> None:
    check_edits(tmp_path, 18, EDITS)
