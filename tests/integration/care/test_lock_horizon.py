"""L1: extensions of locks that fail for days, or are refused now and then, and a store whose clock
is wrong: no point is listed without its locks, none of them ends early, and it is told at once.

The real store with a clock of its own, a Locked and an Unlocked vault, an increment every night
that leans on all before it. docs/security.md has the table; `UPDATE_GOLDEN=1` writes it anew.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from whenever import Instant

from lapse import Lapse
from seams import FakeClock
from security_page import check_table
from store_shelf import AWAY, LIES, LOST, StoreShelves, no_fault
from strongroom.catalog.oversight import alerts as alert_rows
from strongroom.catalog.points import recovery_points
from strongroom.catalog.tables import tables
from strongroom.catalog.work import jobs
from strongroom.control.overview.alerts import settle_alerts
from strongroom.control.protection import policies
from strongroom.model.errors import StoreUnavailable
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.workflows.garbage import collect

pytestmark = pytest.mark.L1
START = datetime(2026, 1, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
SERVERS = {"a": "Locked", "b": "Unlocked"}
TRIES = 2  # of a commit, before its job fails
GENERATION, COLLECTION = 8, 4  # nights from one to the next
BEFORE, AFTER = 3, 2  # nights that are well
COLUMNS = [
    "a point without its locks",
    "a lock shorter than its point",
    "a lock that shrank",
    "something locked was deleted",
    "nights without a point",
    "told of",
    "what the failed tries had put",
]


class Horizon(Lapse):
    """A night after the other, and what was seen in all of them."""

    def __init__(self, home: Path) -> None:
        self.store_clock = FakeClock(Instant(START).format_iso())
        super().__init__(home, START)
        self.now = START
        self.faults = 0
        self.without: list[datetime] = []  # nights that brought no point
        self.told = 0  # after how many of them somebody was told
        self.tried: dict[str, list[str]] = {name: [] for name in SERVERS}
        self.bare = self.short = self.shrank = self.deleted = False
        self.locks: dict[tuple[str, str], Instant] = {}
        for name, state in SERVERS.items():
            vault = self.vault(f"v-{name}", state)
            policies.put_policy(self.control, self.caller, vault, "policy", ten_years_policy())
            self.protect(vault, name, "policy")

    def lay_shelves(self, home: Path) -> StoreShelves:
        return StoreShelves(home / "store", self.store_clock)

    def close(self) -> None:
        super().close()
        self.shelves.store.close()

    def night(self) -> None:
        """Every server is backed up; then everybody looks."""
        self.now += DAY
        self.go_to(self.now)
        self.store_clock.advance(DAY.total_seconds())
        taken = 0
        for job in self.begin_due():
            self.run_stories()
            taken += self.back_up(job)
        for name in SERVERS:
            self.expire(self.instance(name))
            if self.now.day % COLLECTION == 0:
                collect.collect(self.means, self.instance(name))
            self.look(name)
        if not taken:
            self.without.append(self.now)
            self.told = self.told or self.is_told() * len(self.without)

    def is_told(self) -> bool:
        with self.database.writing() as connection:  # the agent is well
            connection.execute(tables.agents.update().values(seen_at=self.clock.now()))
        settle_alerts(self.control)
        with self.database.reading() as connection:
            keys = {alert.key for alert in alert_rows.open_ones(connection)}
        return {f"protection:{self.instance(name)}" for name in SERVERS} <= keys

    def back_up(self, job: str) -> bool:
        """As its story does it: the commit is tried again, then the job fails."""
        with self.database.reading() as connection:
            name = jobs.get(connection, job).instance_name
        parent = "" if self.now.day % GENERATION == 0 else self.newest(name)
        reported = self.report(job, parent)
        for _ in range(TRIES):
            try:
                self.conclude(job, *reported)
                return True
            except StoreUnavailable:
                self.faults += 1
        self.tried[name].append(reported[1].packs[0].name)
        self.fail(job)
        return False

    def newest(self, name: str) -> str:
        with self.database.reading() as connection:
            found = recovery_points.list_of_instance(connection, self.instance(name))
        return max(found, key=lambda point: point.taken_at).id if found else ""

    def look(self, name: str) -> None:
        """I5, by the endpoint's own book; and what the account key can delete."""
        instance = self.instance(name)
        book, shelf = self.shelves.locks_of(instance), self.shelves.container(instance)
        for point, _, ends in self.living().get(instance, set()):
            packs = {f"{pack.name.rpartition('/')[0]}/" for pack in self.packs[point]}
            needs = {f"p/{point}.manifest", f"p/{point}.receipt", "FORMAT", "k/", *packs}
            self.bare |= not needs <= book.keys()
            self.short |= any(book[each].to_stdlib() < ends for each in needs & book.keys())
        for each, until in book.items():
            self.shrank |= until < self.locks.get((name, each), until)
            self.locks[name, each] = until
        if newest := self.newest(name):
            names = [f"p/{newest}.receipt", f"p/{newest}.manifest"]
            names += [pack.name for pack in self.packs[newest][:2]]
            self.deleted |= any(shelf.delete(each) for each in names)

    def remains(self) -> str:
        """Of what failed tries had put: the next backup goes on with it."""
        tried = [(name, pack) for name, packs in self.tried.items() for pack in packs]
        if not tried:
            return "none"
        shelves = {name: self.shelves.container(self.instance(name)) for name in SERVERS}
        there = sum(bool(shelves[name].list(pack)) for name, pack in tried)
        return "there" if there == len(tried) else "the oldest is gone"

    def cells(self) -> list[str]:
        seen = (self.bare, self.short, self.shrank, self.deleted)
        told = {0: "no", 1: "in the first night"}.get(self.told, f"after {self.told} nights")
        told = told if self.without else "nothing to tell"
        words = ["yes" if each else "no" for each in seen]
        return [*words, str(len(self.without)), told, self.remains()]


@dataclass(frozen=True)
class Trouble:
    """For so many nights: how a share of extensions fails, and where the store's clock jumps."""

    says: str
    nights: int
    fault: str = ""
    jump: timedelta = timedelta()
    share: float = 1.0

    def extending(self) -> Callable[[Sequence[str]], str]:
        chance = random.Random(18)
        return lambda names: self.fault if chance.random() < self.share else ""

    @property
    def lasts(self) -> bool:
        """No try of the same night gets through."""
        return bool(self.fault) and self.share == 1.0


TROUBLES = [
    Trouble("none", 1),
    Trouble("extensions fail for a night", 1, AWAY),
    Trouble("for three nights", 3, AWAY),
    Trouble("for a week", 7, AWAY),
    Trouble("for three weeks", 21, AWAY),
    Trouble("they are answered, and not done", 2, LIES),
    Trouble("they are done, and the answer is lost", 2, LOST),
    Trouble("one in a hundred is refused", 30, AWAY, share=0.01),
    Trouble("the store's clock is an hour ahead", 2, jump=timedelta(hours=1)),
    Trouble("forty days ahead", 2, jump=timedelta(days=40)),
    Trouble("ten years ahead", 2, jump=timedelta(days=3653)),
    Trouble("ten years behind", 2, jump=timedelta(days=-3653)),
    Trouble("ten years ahead, and no extensions for a week", 7, AWAY, timedelta(days=3653)),
]


def go_through(home: Path, trouble: Trouble) -> Horizon:
    """Some nights that are well, the trouble, and some nights again."""
    found = Horizon(home)
    clock = found.store_clock
    for extending, nights, jump in (
        (no_fault, BEFORE, timedelta()),
        (trouble.extending(), trouble.nights, trouble.jump),
        (no_fault, AFTER, -trouble.jump),
    ):
        found.shelves.extending = extending
        clock.set(clock.now().add(seconds=jump.total_seconds()).format_iso())
        for _ in range(nights):
            found.night()
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    told = {}
    with capture_logs():
        for number, trouble in enumerate(TROUBLES):
            found = go_through(tmp_path_factory.mktemp(f"locks-{number}"), trouble)
            told[trouble.says] = found.cells()
            assert bool(found.faults) == bool(trouble.fault), trouble
            found.close()
    return told


def test_the_page_tells_what_becomes_of_locks(table: dict[str, list[str]]) -> None:
    check_table("locks", COLUMNS, table)


def test_no_point_is_ever_without_its_locks_and_none_ends_early(
    table: dict[str, list[str]],
) -> None:
    assert {tuple(said[:4]) for said in table.values()} == {("no",) * 4}


def test_who_cannot_lock_takes_no_points_and_says_so_in_the_first_night(
    table: dict[str, list[str]],
) -> None:
    """The margin is the fortnight that what was put stays, committed or not."""
    for says, (*_, nights, told, remains) in table.items():
        trouble = next(each for each in TROUBLES if each.says == says)
        fails = trouble.lasts
        assert int(nights) == (trouble.nights if fails else 0), says
        assert told == ("in the first night" if fails else "nothing to tell"), says
        assert remains == ("none" if not fails else "there" if trouble.nights <= 14 else remains)
