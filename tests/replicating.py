"""X1 with a second copy: whatever is done at the first, a pull brings it, and loses nothing.

The copy is the real store on a disk, filled by the real pull. What it must hold is said here anew,
from docs/decisions/0191 alone, and compared after every pull; what follows for restores is looked
at after every step.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from blake3 import blake3
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from whenever import Instant

from keeping import SERVERS, Keeping, servers
from lapse import Shelf, Shelves
from seams import FakeClock, SeededChance
from strongroom.model.errors import StoreUnavailable
from strongroom.storage.basis.blob import Asked
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.settings import PullSettings, StoreSettings
from strongroom.storage.blobs.store import open_store
from strongroom.storage.upkeep.pulling import Pull
from strongroom.storage.upkeep.source import Listed, RemoteBook, Source
from strongroom.workflows.basis import locking

FORTNIGHT = timedelta(days=14)
STATES = ("Disabled", "Unlocked", "Locked")
ACCOUNT = "copy"


class Hasty(Disk):
    """No power is lost here."""

    def fsync(self, handle: int) -> None:
        pass

    def fsync_dir(self, path: Path) -> None:
        pass


class OverShelves(Source):
    """The first endpoint, as a pull is answered. It goes away after `reads`, in mid-blob."""

    def __init__(self, shelves: Shelves) -> None:
        self.shelves = shelves.all
        self.reads: int | None = None
        self.spoiled: set[tuple[str, str]] = set()

    def containers(self) -> list[str]:
        return sorted(self.shelves)

    def book(self, container: str) -> RemoteBook:
        shelf = self.shelves[container]
        locks = {name: until.format_iso() for name, until in shelf.locks.items()}
        return RemoteBook(shelf.state.state, 0, locks, sorted(holds_of(shelf)))

    def blobs(self, container: str) -> Iterator[Listed]:
        for name, data in sorted(self.shelves[container].objects.items()):
            yield Listed(name, len(data), blake3(data).hexdigest())

    def read(self, container: str, name: str) -> Iterator[bytes]:
        data = self.shelves[container].objects[name]
        yield data[:2]
        if self.reads is not None:
            self.reads -= 1
            if self.reads < 0:
                raise StoreUnavailable("the first endpoint is gone")
        yield bytes(len(data) - 2) if (container, name) in self.spoiled else data[2:]


def holds_of(shelf: Shelf) -> set[tuple[str, str]]:
    return {(name, each) for name, held in shelf.holds.items() for each in held}


@dataclass
class Due:
    """What a container of the copy must hold."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    gone: dict[str, datetime] = field(default_factory=dict)  # at the first, since
    locks: dict[str, Instant] = field(default_factory=dict)
    holds: dict[tuple[str, str], datetime | None] = field(default_factory=dict)  # lifted there
    state: str = "Disabled"

    def keep(self, shelf: Shelf, now: datetime) -> None:
        self.state = max(self.state, shelf.state.state, key=STATES.index)
        for name, until in shelf.locks.items():
            self.locks[name] = max(until, self.locks.get(name, until))
        there = holds_of(shelf)
        self.holds = {
            hold: None if hold in there else self.holds.get(hold) or now
            for hold in {*there, *self.holds}
        }
        self.holds = {h: at for h, at in self.holds.items() if at is None or now - at < FORTNIGHT}

    def let_go(self, there: set[str], before: set[str], now: datetime) -> None:
        self.gone = {name: self.gone.get(name, now) for name in before - there}
        for name, since in list(self.gone.items()):
            if now - since >= FORTNIGHT and not self.is_kept(name, now):
                del self.blobs[name], self.gone[name]

    def is_kept(self, name: str, now: datetime) -> bool:
        parts = name.split("/")
        places = {name, *("/".join(parts[:n]) + "/" for n in range(1, len(parts)))}
        locked = any(until > Instant(now) for each, until in self.locks.items() if each in places)
        return (self.state != "Disabled" and locked) or any(n in places for n, _ in self.holds)


class Copy:
    """The second endpoint in a directory, and what it must be."""

    def __init__(self, home: Path, shelves: Shelves) -> None:
        self.home, self.clock = home, FakeClock()
        self.source = OverShelves(shelves)
        self.chosen = PullSettings(url="http://127.0.0.1:1/first", key=bytes(64))
        self.due: dict[str, Due] = {}
        self.chance = SeededChance(7)
        self.is_open = False
        self.failed: set[str] = set()  # what could not be fetched yet

    def open(self) -> None:
        """Start it, or start it anew."""
        self.close()
        chosen = StoreSettings(
            root=self.home, account=ACCOUNT, account_key=bytes(64), reserve_bytes=0
        )
        self.store = open_store(chosen, self.clock, self.chance, Hasty())
        self.pull = Pull(self.store, self.source, self.chosen, self.clock)
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.store.locks.clock.note()  # as it does every ten minutes while it runs
            self.store.close()

    def go_to(self, at: datetime) -> None:
        self.clock.advance((Instant(at) - self.clock.now()).total("seconds"))

    def foresee(self, now: datetime) -> int:
        """What a pull must make of it, the endpoint being away after so many reads.

        Answers how many blobs it could not fetch; raises StoreUnavailable as a pull does.
        """
        failed, reads = 0, self.source.reads
        for container, shelf in sorted(self.source.shelves.items()):
            due = self.due.setdefault(container, Due())
            due.keep(shelf, now)
            before = {*due.blobs}
            for name in sorted(shelf.objects.keys() - before):
                if reads is not None:
                    reads -= 1
                    if reads < 0:
                        raise StoreUnavailable("as it was foreseen")
                if (container, name) in self.source.spoiled:
                    failed += 1
                    self.failed.add(name)
                else:
                    due.blobs[name] = shelf.objects[name]
                    self.failed.discard(name)
            due.let_go({*shelf.objects}, before, now)
        return failed

    def check(self) -> None:
        """It holds what it must, keeps it as it must, and no half of anything else."""
        assert not list((self.home / ".strongroom" / "incoming").iterdir())
        assert {each.name for each in self.store.containers(Asked())} == {*self.due}
        for container, due in self.due.items():
            listed = [blob.name for blob in self.store.page(container, Asked()).blobs]
            place = self.home / ACCOUNT / container
            assert {name: (place / name).read_bytes() for name in listed} == due.blobs
            book = self.store.locks.book(container)
            assert (book.immutability.state, {*book.holds}) == (due.state, {*due.holds})
            assert book.locks == due.locks


class Replicating(Keeping):
    """Everything that happens to one vault, and a second endpoint that pulls now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.copy = Copy(Path(self.home.name) / "copy", self.world.shelves)
        self.copy.go_to(self.now)
        self.copy.open()
        self.drills = 0

    @rule(name=servers, which=st.integers(0, 50))
    def a_drill_leaves_its_evidence(self, name: str, which: int) -> None:
        points = self.servers[name].points
        if points:
            point, self.drills = sorted(points)[which % len(points)], self.drills + 1
            evidence = f"p/{point}.{self.drills}.drill"
            self.shelf(name).create(evidence, b"passed")
            ends = Instant(points[point].ends)
            locking.lock_names(self.world.means, self.world.instance(name), [evidence], ends)

    @rule()
    def the_second_starts_anew(self) -> None:
        self.copy.go_to(self.now)
        self.copy.open()

    @rule()
    def replicate(self) -> None:
        self.pull()
        assert self.copy.pull.told()["lagSeconds"] == 0
        for container, shelf in self.world.shelves.all.items():
            assert shelf.objects.items() <= self.copy.due[container].blobs.items()

    @rule(reads=st.integers(0, 4))
    def replicate_while_the_first_goes_away(self, reads: int) -> None:
        self.copy.source.reads = reads
        self.pull()
        self.copy.source.reads = None

    @rule(name=servers, which=st.integers(0, 200))
    def replicate_what_is_damaged_at_the_first(self, name: str, which: int) -> None:
        names = sorted(self.shelf(name).objects)
        spoiled = names[which % len(names)]
        self.copy.source.spoiled = {(self.world.instance(name), spoiled)}
        self.pull()
        self.copy.source.spoiled = set()

    @rule(name=servers, which=st.integers(0, 200))
    def replicate_over_what_is_damaged_at_the_second(self, name: str, which: int) -> None:
        """What the scrub finds is fetched anew."""
        container, copy = self.world.instance(name), self.copy
        due = copy.due.get(container, Due())
        both = sorted(due.blobs.keys() & self.shelf(name).objects.keys())
        if both:
            file = copy.home / ACCOUNT / container / both[which % len(both)]
            file.chmod(0o600)
            file.write_bytes(b"damaged")
            found = copy.store.looking.digests(container, [both[which % len(both)]])
            assert [each.state for each in found] == ["corrupt"]
        self.replicate()

    def pull(self) -> None:
        copy = self.copy
        copy.go_to(self.now)
        upto = copy.store.copies.pulled_upto()
        try:
            failed = copy.foresee(self.now)
        except StoreUnavailable:
            failed = -1
        try:
            copy.pull.look()
        except StoreUnavailable:
            assert failed == -1
        else:
            assert copy.pull.told()["behindObjects"] == failed
        assert copy.store.copies.pulled_upto() == (upto if failed else Instant(self.now))
        copy.check()

    @invariant()
    def a_point_at_the_second_lacks_nothing_but_what_is_told_to_be_damaged(self) -> None:
        """However a pull was broken off: packs come before what names them, and go after it."""
        for name in SERVERS if hasattr(self, "servers") else ():
            due = self.copy.due.get(self.world.instance(name), Due())
            for point, packs in self.world.packs.items():
                if {f"p/{point}.manifest", f"p/{point}.receipt"} <= due.blobs.keys():
                    assert {pack.name for pack in packs} <= due.blobs.keys() | self.copy.failed

    def end(self) -> None:
        """Nothing stays at the second that neither the first has nor a lock keeps."""
        super().end()
        for _ in range(2):
            self.replicate()
            self.time_goes_by(24 * 15)
        self.replicate()
        for container, due in self.copy.due.items():
            for name in due.blobs.keys() - self.world.shelves.all[container].objects.keys():
                assert due.is_kept(name, self.now), name

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.copy.close()
