"""G2: ten years of three servers, day by day, against an oracle that reads the policies' texts.

Nights are lost, the service is down for days, jobs run over, policies are edited, points and
servers held, protection stopped and resumed; vaults are Disabled, Unlocked and Locked.
"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lapse import Lapse
from oracle.lifecycle import PROTECTED, STOPPED, SUSPENDED, Server
from oracle.tagging import Policy, Reading
from policies_drawn import a_policy
from strongroom.catalog.oversight import audit as audit_rows
from strongroom.catalog.work import jobs
from strongroom.control.points import holds
from strongroom.control.points.backups import trigger_backup
from strongroom.control.protection import policies, protection_states
from strongroom.model.points.hold import HoldWish
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.model.protection.protection_state import (
    RESUME_BACKUPS,
    RESUME_PROTECTION,
    STOP,
    SUSPEND,
)

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
DAYS = 3653


def like_ten_years(zone: str, kept: dict[str, str], every: str = "P1D") -> dict[str, Any]:
    """In another zone, with other durations, at other times."""
    body: dict[str, Any] = ten_years_policy()
    schedule = body["policyRules"][0]["trigger"]["schedule"]
    schedule["timeZone"] = zone
    schedule["repeatingTimeIntervals"] = [f"R/2026-01-01T01:30:00+00:00/{every}"]
    for rule in body["policyRules"][1:]:
        if rule["name"] in kept:
            rule["lifecycles"][0]["deleteAfter"]["duration"] = kept[rule["name"]]
    return body


class Years:
    """The world and the oracle side by side; `chance` decides what happens to both."""

    def __init__(self, home: Path, seed: int, nightly: str = "P1D") -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.world = Lapse(home, START)
        self.seen: Counter[str] = Counter()
        self.down_until = START
        self.slow: list[tuple[str, str, datetime]] = []  # job, server, when it is done
        self.pending: dict[str, tuple[str, str, datetime | None, datetime]] = {}
        self.servers: dict[str, Server] = {}
        self.vaults = {}
        self.edits: dict[str, list[Policy]] = {
            "one": [
                like_ten_years("UTC", {}, nightly),
                like_ten_years("Europe/London", {"Default": "P30D", "Weekly": "P5W"}, nightly),
            ],
            "two": [
                like_ten_years("W. Europe Standard Time", {"Monthly": "P3Y"}, "P5D"),
                like_ten_years("Samoa Standard Time", {"Default": "P1D"}, "P1W"),
                like_ten_years("America/Sao_Paulo", {"Yearly": "P5Y"}, "P1M"),
            ],
            "three": [a_policy(self.chance, ("P2W", "P1M"), rules=2) for _ in range(4)],
        }
        for name, immutability in (("one", "Locked"), ("two", "Disabled"), ("three", "Unlocked")):
            self.vaults[name] = self.world.vault(f"V-{name}", immutability)
            self.put(name, self.edits[name][0])
            self.world.protect(self.vaults[name], name, "policy")
            self.servers[name] = Server(Reading(self.edits[name][0]))
            self.servers[name].plan(self.now)
        self.said = {name: bodies[0] for name, bodies in self.edits.items()}

    def put(self, name: str, body: Policy) -> None:
        vault, world = self.vaults[name], self.world
        policies.put_policy(world.control, world.caller, vault, "policy", dict(body))

    def day(self) -> None:
        """The service looks now and then, at any time of the day; then both must agree."""
        minutes = sorted(self.chance.sample(range(1440), self.chance.choice((0, 0, 0, 1, 1, 2))))
        midnight = self.now.replace(hour=0, minute=0)
        for minute in minutes:
            self.now = midnight + timedelta(minutes=minute)
            self.world.go_to(self.now)
            if self.now >= self.down_until:
                self.awake()
        if minutes:
            self.expire()
        self.compare()
        self.now = midnight + timedelta(days=1)

    def awake(self) -> None:
        self.end_slow()
        self.people()
        self.now += timedelta(minutes=1)  # no two points are taken at one moment
        self.world.go_to(self.now)
        self.run(self.scheduled())
        if self.chance.random() < 1 / 90:
            self.seen["outage"] += 1
            self.down_until = self.now + timedelta(days=self.chance.choice((1, 2, 3, 9, 40)))

    def expire(self) -> None:
        """Once a day, if the service is up."""
        if self.now < self.down_until:
            return
        for name, server in self.servers.items():
            self.world.expire(self.instance(name))
            server.expire(self.now)

    def instance(self, name: str) -> Any:
        return f"id-of-{name}"

    def scheduled(self) -> list[tuple[str, str, str, str, datetime | None]]:
        """Both sides begin the same backups."""
        begun = []
        for job in self.world.begin_due():
            with self.world.database.reading() as connection:
                told = jobs.get(connection, job)
            due = datetime.fromisoformat(told.order["due_at"])
            begun.append((job, told.instance_name, told.rule_name, "", due))
        expected = {
            (name, rule, due)
            for name, server in self.servers.items()
            for rule, due in server.awake(self.now)
        }
        assert {(name, rule, due) for _, name, rule, _, due in begun} == expected, self.now
        self.seen["missed"] += sum(self.now - due > timedelta(days=1) for _, _, due in expected)
        self.world.run_stories()
        return begun

    def run(self, begun: list[tuple[str, str, str, str, datetime | None]]) -> None:
        """How each backup ends: well, not at all, or some days later."""
        for job, name, rule, asked, due in begun:
            luck = self.chance.random()
            if luck < 0.03:
                self.seen["failed"] += 1
                self.world.fail(job)
                self.servers[name].running.clear()
            elif luck < 0.05:
                self.seen["slow"] += 1
                done = self.now + timedelta(days=self.chance.randint(1, 9))
                self.slow.append((job, name, done))
                self.pending[job] = rule, asked, due, self.now
            else:
                self.commit(job, name, rule, asked, due, self.now)

    def commit(
        self, job: str, name: str, rule: str, asked: str, due: datetime | None, taken: datetime
    ) -> None:
        point = self.world.commit(job)
        self.servers[name].running.clear()
        self.servers[name].commit(point, rule, taken, asked, due)
        self.seen["points"] += 1

    def end_slow(self) -> None:
        for each in list(self.slow):
            job, name, done = each
            if done <= self.now:
                self.slow.remove(each)
                rule, asked, due, taken = self.pending.pop(job)
                self.commit(job, name, rule, asked, due, taken)

    def people(self) -> None:
        """What people ask for now and then."""
        name = self.chance.choice(list(self.servers))
        server, luck = self.servers[name], self.chance.random()
        if luck < 1 / 250:
            self.seen["edit"] += 1
            body = self.chance.choice(self.edits[name])
            self.put(name, body)
            if body != self.said[name]:  # the same text plans nothing anew
                server.follow(body, self.now)
                self.said[name] = body
        elif luck < 2 / 250:
            self.hold(name, server)
        elif luck < 5 / 250:
            self.release(name, server)
        elif luck < 6 / 250 or (server.state != PROTECTED and luck > 0.95):
            self.change_state(name, server)
        elif luck < 10 / 250 and server.state == PROTECTED and not server.running:
            self.on_demand(name, server)

    def place(self, name: str) -> tuple[Any, str]:
        return self.vaults[name], name

    def hold(self, name: str, server: Server) -> None:
        self.seen["hold"] += 1
        label = f"case-{self.seen['hold']}"
        point = self.chance.choice(["", *sorted(server.points)])
        wish = HoldWish(name=label, point=point, reason="a court asks")
        world = self.world
        holds.set_hold(world.control, world.caller, self.place(name), wish, "")
        world.run_stories()
        (server.points[point].held if point else server.held).add(label)

    def release(self, name: str, server: Server) -> None:
        named = [server.held, *(point.held for point in server.points.values())]
        found = next((held for held in named if held), None)
        if found is None:
            return
        self.seen["release"] += 1
        label, world = found.pop(), self.world
        holds.release_hold(world.control, world.caller, self.place(name), label, "")
        world.run_stories()

    def change_state(self, name: str, server: Server) -> None:
        act, after = {
            PROTECTED: self.chance.choice([(STOP, STOPPED), (SUSPEND, SUSPENDED)]),
            STOPPED: (RESUME_PROTECTION, PROTECTED),
            SUSPENDED: (RESUME_BACKUPS, PROTECTED),
        }[server.state]
        self.seen[act.name] += 1
        world = self.world
        protection_states.change_state(
            world.control, world.caller, self.vaults[name], name, act, ""
        )
        world.run_stories()
        server.enter(after, self.now)

    def on_demand(self, name: str, server: Server) -> None:
        self.seen["on demand"] += 1
        rule = self.chance.choice(list(server.reading.rules))
        asked = self.chance.choice(["", *server.reading.names.values()])
        world = self.world
        trigger_backup(
            world.control,
            world.caller,
            self.vaults[name],
            name,
            rule_name=rule,
            tag_override=asked or None,
            request_key="",
        )
        (job,) = world.run_stories()
        server.running.add("")
        self.run([(job, name, rule, asked, None)])

    def compare(self) -> None:
        """The same points, tags and ends; and storage keeps what is promised."""
        listed = self.world.living()
        for name, server in self.servers.items():
            there = listed.get(self.instance(name), set())
            assert there == server.living(), (name, self.now)
            shelf = self.world.shelves.container(self.instance(name))
            for point, _, ends in there:
                for thing in (f"p/{point}.manifest", f"p/{point}.receipt", f"g/{point}/"):
                    assert shelf.locked_until(thing).to_stdlib() >= ends, (thing, self.now)
                assert f"p/{point}.manifest" in shelf.objects

    def finish(self) -> None:
        """Of what is gone the manifest is gone too, unless storage keeps it; receipts stay."""
        for name, server in self.servers.items():
            shelf = self.world.shelves.container(self.instance(name))
            manifests = {n[2:-9] for n in shelf.objects if n.endswith(".manifest")}
            kept = {point for point in manifests if shelf.keeps(f"p/{point}.manifest")}
            assert manifests - kept <= {point for point, _, _ in server.living()}
            receipts = {n for n in shelf.objects if n.endswith(".receipt")}
            assert len(receipts) == len(server.past)
            for receipt in receipts:
                self.world.signing.public.check(shelf.objects[receipt])
        with self.world.database.reading() as connection:
            assert audit_rows.first_break(connection) is None


@pytest.fixture
def years(tmp_path: Path) -> Iterator[Years]:
    found = Years(tmp_path, 18, "P3D")  # the campaign's worlds have a backup a night
    yield found
    found.world.close()


@pytest.mark.timeout(900)
def test_on_every_day_of_ten_years_the_points_are_there_that_the_policies_promise(
    years: Years,
) -> None:
    with capture_logs():
        for _ in range(DAYS):
            years.day()
    years.finish()
    happened = {"outage", "missed", "failed", "slow", "edit", "hold", "release", "on demand"}
    assert {name for name in happened if years.seen[name]} == happened
    assert years.seen["points"] > 1000
