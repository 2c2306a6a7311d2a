"""C1: whichever clock jumps, which way and when: no point ends early, no lock is short, and
backups go on with a life that is no shorter.

The control plane's clock, the storage endpoint's, and both; an hour, forty days and ten years; on
and back; while it runs, at a standstill of a minute, and in the middle of what it does.
"""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from whenever import Instant

from seams import FakeClock, SystemChance
from store_world import ACCOUNT, KEY
from strongroom.catalog.basis.database import Database
from strongroom.catalog.installation import installation
from strongroom.catalog.migrate import upgrade
from strongroom.control.basis.service_clock import MOST_STANDSTILL, ServiceClock
from strongroom.model.errors import Locked
from strongroom.storage.basis.blob import Facts
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.ledger.locks import Immutability

pytestmark = pytest.mark.C1
HOUR, DAY = 3600.0, 86_400.0
START = Instant.parse_iso("2026-06-01T00:00:00Z")
DOMAINS = ("the control plane", "the storage endpoint", "both", "neither, while time goes by")
JUMPS = (HOUR, -HOUR, 40 * DAY, -40 * DAY, 3653 * DAY)
WHEN = ("while it runs", "at a standstill", "on and back again")
CASES = [*itertools.product(DOMAINS, JUMPS, WHEN)]
TRUE_LIFE = 9 * DAY  # of point and lock: more than the week that a standstill is believed
PACK = "g/1/a.pack"


class Both:
    """The two services that go by a clock; `true` is what time it really is."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root, self.database = root, database
        self.true = START
        self.clocks = {
            "control": FakeClock(START.format_iso()),
            "store": FakeClock(START.format_iso()),
        }
        with database.writing() as connection:
            installation.put(connection, "clock", START.format_iso())
        self.start()
        self.store.create_container("cont", {})
        self.store.locks.set_immutability("cont", Immutability("Locked"))
        self.store.locks.extend("cont", [PACK], START.add(seconds=TRUE_LIFE))
        upload = self.store.begin("cont", PACK, 1)
        upload.write([b"x"])
        self.store.commit(upload, Facts())
        self.ends = START.add(seconds=TRUE_LIFE)

    def start(self) -> None:
        settings = StoreSettings(root=self.root, account=ACCOUNT, account_key=KEY, reserve_bytes=0)
        self.store: BlobStore = open_store(settings, self.clocks["store"], SystemChance())
        self.service = ServiceClock(self.clocks["control"], self.database)

    def go_on(self, seconds: float) -> None:
        """Time goes by, for every clock."""
        self.true = self.true.add(seconds=seconds)
        for clock in self.clocks.values():
            clock.advance(seconds)
        self.service.note()
        self.store.locks.clock.note()

    def jump(self, domain: str, seconds: float) -> None:
        for name in {"the control plane": ["control"], "the storage endpoint": ["store"],
                     "both": ["control", "store"]}.get(domain, []):  # fmt: skip
            clock = self.clocks[name]
            clock.set(clock.now().add(seconds=seconds).format_iso())

    def check(self) -> None:
        """No point has ended, and no lock, before its time; a new point lives as long."""
        assert self.true < self.ends
        assert self.service.earliest() < self.ends
        with suppress(Locked):
            self.store.delete("cont", PACK, "account-key")
            raise AssertionError("a lock was over before its time")
        begun = self.clocks["control"].now()
        end = begun.add(seconds=TRUE_LIFE + self.service.behind())
        assert end >= self.true.add(seconds=TRUE_LIFE - HOUR)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('clock')}/catalogue.sqlite")
    upgrade(made)
    yield made
    made.close()


def test_there_are_sixty_cases() -> None:
    assert len(CASES) == 60


@pytest.mark.parametrize(("domain", "seconds", "when"), CASES)
def test_no_jump_of_a_clock_ends_anything_early(
    database: Database, tmp_path: Path, domain: str, seconds: float, when: str
) -> None:
    both = Both(tmp_path / "store", database)
    try:
        both.go_on(DAY)
        if when == "at a standstill":
            both.store.close()
            both.true = both.true.add(seconds=60)
            both.jump(domain, seconds + 60)
            both.start()
        else:
            both.jump(domain, seconds)
        both.check()
        if when == "on and back again":
            both.go_on(HOUR)
            both.check()
            both.jump(domain, -seconds)
        both.check()
        both.go_on(HOUR)
        both.check()
    finally:
        both.store.close()
        shutil.rmtree(tmp_path)


def test_time_that_really_goes_by_ends_things_on_time(database: Database, tmp_path: Path) -> None:
    both = Both(tmp_path / "store", database)
    try:
        both.go_on(TRUE_LIFE + 1)
        assert both.service.earliest() >= both.ends
        assert both.service.behind() == 0.0
        both.store.delete("cont", PACK, "account-key")
    finally:
        both.store.close()


def test_a_person_may_say_that_the_clock_is_right(database: Database) -> None:
    with database.writing() as connection:
        installation.put(connection, "clock", START.format_iso())
    clock = FakeClock(START.add(seconds=40 * DAY).format_iso())
    late = ServiceClock(clock, database)
    assert late.is_suspect
    assert late.earliest() <= START.add(seconds=MOST_STANDSTILL + HOUR)
    late.note()
    accepted = ServiceClock(clock, database, accept=True)
    assert (accepted.is_suspect, accepted.earliest()) == (False, clock.now())
