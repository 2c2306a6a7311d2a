"""X1: a machine that backs up, expires, holds, locks, extends, deletes, undeletes and collects.

Two servers of one vault. After every step what is listed is what the oracle says, and whatever is
listed, or was deleted and is not purged, is whole in storage and locked to its end.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from structlog.testing import capture_logs

from lapse import Lapse
from oracle.lifecycle import PROTECTED, STOPPED, SUSPENDED, Point, Server
from oracle.tagging import Reading
from strongroom.catalog.oversight import audit as audit_rows
from strongroom.catalog.work import jobs
from strongroom.control.points import holds
from strongroom.control.points.backups import trigger_backup
from strongroom.control.protection import deletions, policies, protection_states, reapplying
from strongroom.control.resources import vaults
from strongroom.model.conditions import Conditions
from strongroom.model.errors import Locked
from strongroom.model.points.hold import HoldWish
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.model.protection.protection_state import (
    RESUME_BACKUPS,
    RESUME_PROTECTION,
    STOP,
    SUSPEND,
)
from strongroom.workflows.expiry import purge
from strongroom.workflows.garbage import collect

START = datetime(2026, 1, 1, 1, tzinfo=UTC)
SOFT_DAYS = timedelta(days=14)
SERVERS = ("a", "b")
TAGS = ("Default", "Weekly", "Monthly", "Yearly")
LENGTHS = ("P1D", "P14D", "P8W", "P13M", "P3Y")
servers = st.sampled_from(SERVERS)


def body(kept: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = ten_years_policy()
    for each in found["policyRules"][1:]:
        each["lifecycles"][0]["deleteAfter"]["duration"] = kept[each["name"]]
    return {**found, "strongroom": {"startWithin": 0}}


class Keeping(RuleBasedStateMachine):
    """The world on one side, what must be true of it on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory(prefix="keeping-")
        self.logs = capture_logs()
        self.logs.__enter__()
        self.world = Lapse(Path(self.home.name), START)
        self.now = START
        self.kept = {"Default": "P14D", "Weekly": "P8W", "Monthly": "P13M", "Yearly": "P3Y"}
        self.state = "Disabled"
        self.deleted: dict[str, dict[str, tuple[Point, datetime]]] = {s: {} for s in SERVERS}
        self.running: dict[str, str] = {}  # server -> job
        self.labels = 0
        self.seen: dict[str, Any] = {}  # lock -> until; object -> bytes

    @initialize(state=st.sampled_from(["Disabled", "Unlocked", "Locked"]))
    def found(self, state: str) -> None:
        world, self.state = self.world, state
        self.vault = world.vault("v", state)
        self.put()
        self.servers = {}
        for name in SERVERS:
            world.protect(self.vault, name, "policy")
            self.servers[name] = Server(Reading(body(self.kept)))
            self.servers[name].plan(self.now)
            for asked in ("Weekly", "", "Monthly"):
                self.back_up(name, asked, lean=True)

    def put(self) -> None:
        world = self.world
        policies.put_policy(world.control, world.caller, self.vault, "policy", body(self.kept))

    def bound(self, server: str, point: Point) -> bool:
        return bool(self.servers[server].held or point.held) or (
            self.state != "Disabled" and point.ends > self.now
        )

    def step_on(self) -> None:
        """No two points are taken at one moment, nor a dozen in an hour: that would be a flood."""
        self.now += timedelta(minutes=6)
        self.world.go_to(self.now)

    # Time

    @rule(hours=st.sampled_from([1, 10, 24, 24 * 9, 24 * 60, 24 * 400]))
    def time_goes_by(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.world.go_to(self.now)

    # Backups

    @rule()
    def the_scheduler_looks(self) -> None:
        self.step_on()
        begun = []
        for job in self.world.begin_due():
            with self.world.database.reading() as connection:
                told = jobs.get(connection, job)
            due = datetime.fromisoformat(told.order["due_at"])
            begun.append((job, told.instance_name, told.rule_name, due))
        expected = {
            (name, rule, due)
            for name, server in self.servers.items()
            for rule, due in server.awake(self.now)
        }
        assert {each[1:] for each in begun} == expected
        self.world.run_stories()
        for job, name, rule_name, due in begun:
            self.commit(job, name, rule_name, "", due, lean=True)

    def commit(
        self, job: str, name: str, rule: str, asked: str, due: datetime | None, *, lean: bool
    ) -> None:
        server = self.servers[name]
        newest = max(server.points, key=lambda p: server.points[p].taken, default="")
        with self.world.database.reading() as connection:
            taken = jobs.get(connection, job).started_at.to_stdlib()
        point = self.world.commit(job, newest if lean else "")
        server.running.clear()
        server.commit(point, rule, taken, asked, due)
        if server.held:
            assert self.shelf(name).keeps(f"p/{point}.manifest")

    def trigger(self, name: str, asked: str) -> str:
        self.step_on()
        world = self.world
        trigger_backup(
            world.control,
            world.caller,
            self.vault,
            name,
            rule_name="BackupDaily",
            tag_override=asked or None,
            request_key="",
        )
        (job,) = world.run_stories()
        return job

    @rule(name=servers, asked=st.sampled_from(["", *TAGS]), lean=st.booleans())
    def back_up_by_hand(self, name: str, asked: str, lean: bool) -> None:
        self.back_up(name, asked, lean)

    def back_up(self, name: str, asked: str, lean: bool) -> None:
        server = self.servers[name]
        if server.state == PROTECTED and not server.running:
            job = self.trigger(name, asked)
            self.commit(job, name, "BackupDaily", asked, None, lean=lean)

    @rule(name=servers)
    def a_backup_runs_over(self, name: str) -> None:
        server = self.servers[name]
        if server.state == PROTECTED and not server.running:
            self.running[name] = self.trigger(name, "Weekly")
            server.running.add("")

    @precondition(lambda self: self.running)
    @rule(well=st.booleans())
    def it_ends(self, well: bool) -> None:
        name, job = self.running.popitem()
        if well:
            self.commit(job, name, "BackupDaily", "Weekly", None, lean=True)
        else:
            self.world.fail(job)
            self.servers[name].running.clear()

    # What ends

    @rule(name=servers, days=st.sampled_from([0, 20, 70]))
    def days_later_expire(self, name: str, days: int) -> None:
        self.time_goes_by(24 * days)
        self.expire(name)

    def expire(self, name: str) -> None:
        self.world.expire(self.world.instance(name))
        self.servers[name].expire(self.now)

    @rule(name=servers)
    def collect(self, name: str) -> None:
        collect.collect(self.world.means, self.world.instance(name))

    @rule(days=st.sampled_from([1, 15, 15]))
    def days_later_purge(self, days: int) -> None:
        self.time_goes_by(24 * days)
        self.purge()

    def purge(self) -> None:
        purge.purge_due(self.world.means)
        for name, server in self.servers.items():
            for point, (found, at) in list(self.deleted[name].items()):
                if at <= self.now and not server.running and not self.bound(name, found):
                    del self.deleted[name][point]

    # What people do

    @rule(name=servers, which=st.integers(0, 50))
    def delete(self, name: str, which: int) -> None:
        server = self.servers[name]
        if not server.points:
            return
        point = sorted(server.points)[which % len(server.points)]
        try:
            world, place = self.world, (self.vault, name)
            deletions.delete_point(world.control, world.caller, place, point, "")
        except Locked:
            assert self.bound(name, server.points[point])
            return
        assert not self.bound(name, server.points[point])
        self.deleted[name][point] = server.points.pop(point), self.now + SOFT_DAYS

    @rule(name=servers)
    def undelete(self, name: str) -> None:
        for point, (found, _) in list(self.deleted[name].items())[:1]:
            world, place = self.world, (self.vault, name)
            deletions.undelete_point(world.control, world.caller, place, point, "")
            self.servers[name].points[point] = found
            del self.deleted[name][point]

    @rule(name=servers, which=st.integers(0, 50))
    def hold(self, name: str, which: int) -> None:
        server = self.servers[name]
        points = {**server.points, **{p: f for p, (f, _) in self.deleted[name].items()}}
        choices = ["", *sorted(points)]
        point = choices[which % len(choices)]
        self.labels += 1
        wish = HoldWish(name=f"case-{self.labels}", point=point, reason="")
        world, place = self.world, (self.vault, name)
        holds.set_hold(world.control, world.caller, place, wish, "")
        world.run_stories()
        (points[point].held if point else server.held).add(wish.name)

    @rule(name=servers)
    def release(self, name: str) -> None:
        server = self.servers[name]
        points = [*server.points.values(), *(p for p, _ in self.deleted[name].values())]
        found = next((held for held in (server.held, *(p.held for p in points)) if held), None)
        if found is not None:
            world, place = self.world, (self.vault, name)
            holds.release_hold(world.control, world.caller, place, found.pop(), "")
            world.run_stories()

    @rule(state=st.sampled_from(["Disabled", "Unlocked", "Unlocked", "Locked"]))
    def lock(self, state: str) -> None:
        settings = {"securitySettings": {"immutabilitySettings": {"state": state}}}
        world = self.world
        try:
            vaults.patch_vault(
                world.control, world.caller, self.vault, {"properties": settings}, Conditions()
            )
        except Locked:
            assert self.state == "Locked"
            return
        world.run_stories()
        self.state = state

    @rule(tag=st.sampled_from(TAGS), length=st.sampled_from(LENGTHS), apply=st.booleans())
    def edit(self, tag: str, length: str, apply: bool) -> None:
        before, self.kept = self.kept, {**self.kept, tag: length}
        self.put()
        for server in self.servers.values():
            if before != self.kept:
                server.follow(body(self.kept), self.now)
        if apply:
            self.extend()

    @rule()
    def extend(self) -> None:
        """The policy, applied to what is there."""
        world = self.world
        reapplying.apply_policy(world.control, world.caller, self.vault, "policy", "")
        world.run_stories()
        for server in self.servers.values():
            zone = server.reading.zone("BackupDaily")
            for point in server.points.values():
                ends = server.reading.ends(point.tag.lower(), point.taken, zone)
                kept = self.state != "Disabled" or server.held or point.held
                if ends > point.ends or not (kept or server.state == STOPPED):
                    point.ends = ends

    @rule(name=servers, stop=st.booleans())
    def change_state(self, name: str, stop: bool) -> None:
        server, world = self.servers[name], self.world
        act, after = {
            PROTECTED: (STOP, STOPPED) if stop else (SUSPEND, SUSPENDED),
            STOPPED: (RESUME_PROTECTION, PROTECTED),
            SUSPENDED: (RESUME_BACKUPS, PROTECTED),
        }[server.state]
        protection_states.change_state(world.control, world.caller, self.vault, name, act, "")
        world.run_stories()
        server.enter(after, self.now)

    # What is always true

    def shelf(self, name: str) -> Any:
        return self.world.shelves.container(self.world.instance(name))

    @invariant()
    def the_points_are_those_of_the_oracle(self) -> None:
        listed = self.world.living()
        for name in SERVERS if hasattr(self, "servers") else ():
            assert listed.get(self.world.instance(name), set()) == self.servers[name].living()

    @invariant()
    def what_is_kept_is_whole_and_locked(self) -> None:
        for name in SERVERS if hasattr(self, "servers") else ():
            shelf, server = self.shelf(name), self.servers[name]
            points = {**server.points, **{p: f for p, (f, _) in self.deleted[name].items()}}
            for point, found in points.items():
                packs = self.world.packs[point]
                names = [f"p/{point}.manifest", f"p/{point}.receipt", *(p.name for p in packs)]
                for each in names:
                    data = shelf.objects[each]
                    assert self.seen.setdefault((name, each), data) == data
                locks = [*names[:2], *(f"{p.name.rpartition('/')[0]}/" for p in packs)]
                for each in locks:
                    assert shelf.locked_until(each).to_stdlib() >= found.ends, each
                if server.held or found.held:
                    assert shelf.keeps(names[0])
            for each, until in shelf.locks.items():
                assert self.seen.setdefault((name, "lock", each), until) <= until
                self.seen[name, "lock", each] = until

    def teardown(self) -> None:
        """Whatever has happened: nothing stays that nobody needs, and the audit is whole."""
        try:
            if hasattr(self, "servers"):
                self.end()
        finally:
            self.world.close()
            self.home.cleanup()
            self.logs.__exit__(None, None, None)

    def end(self) -> None:
        while self.running:
            self.it_ends(well=False)
        for _ in range(2):
            self.time_goes_by(24 * 400 * 12)
            for name in SERVERS:
                while any(p.held for p, _ in self.deleted[name].values()) or any(
                    held for held in (self.servers[name].held, *self.holds_of(name))
                ):
                    self.release(name)
                self.expire(name)
            self.purge()
            for name in SERVERS:
                self.collect(name)
        for name in SERVERS:
            self.the_points_are_those_of_the_oracle()
            points = self.servers[name].points
            packs = {pack.name for point in points for pack in self.world.packs[point]}
            there = self.shelf(name).objects
            assert {each for each in there if each.startswith("g/")} == packs
            manifests = {each for each in there if each.endswith(".manifest")}
            assert manifests == {f"p/{point}.manifest" for point in points}
        with self.world.database.reading() as connection:
            assert audit_rows.first_break(connection) is None

    def holds_of(self, name: str) -> list[set[str]]:
        return [point.held for point in self.servers[name].points.values()]
