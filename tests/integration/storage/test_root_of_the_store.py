"""What root of the storage host can do with files, ledger and clock, and who finds it: S4.

Each deed is done to an endpoint with two points, locked for a month; then everybody looks.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from whenever import Instant

from seams import FakeClock, SystemChance
from security_page import check_table
from store_world import ACCOUNT, KEY
from strongroom.datastore.places.blobs import DirectoryBlobs
from strongroom.model.errors import Locked, ObjectMissing, VaultError
from strongroom.storage.basis.blob import Asked, Facts
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.door.shared_key import MAX_SKEW_SECONDS
from strongroom.storage.ledger.locks import Immutability
from strongroom.storage.upkeep.scrubbing import Scrub
from strongroom.workflows.proof.lost import needs_of
from worlds import World, memory, micro_world, point_id, restore, small_tree

pytestmark = pytest.mark.S4
CONTAINER, POINT, OTHER = "cont", point_id(1), point_id(2)
DAY, NOW = 86_400.0, Instant.parse_iso("2026-01-02T00:00:00Z")
COLUMNS = [
    "reads user data",
    "deletes what is locked",
    "a restore writes wrong bytes",
    "the endpoint's scrub finds it",
    "the control plane finds it",
]


class Host:
    """The endpoint's disk, its clock, and what the world outside knows."""

    def __init__(self, root: Path, world: World) -> None:
        self.root, self.world = root, world
        self.clock = FakeClock(NOW.format_iso())
        self.files = root / ACCOUNT / CONTAINER
        self.ledger = root / ".strongroom" / "ledger.sqlite"
        self.store = self.open()
        self.store.create_container(CONTAINER, {})
        self.put(memory(world))
        self.store.locks.set_immutability(CONTAINER, Immutability("Locked", 14))
        self.ends = self.clock.now().add(hours=24 * 30)
        self.store.locks.extend(CONTAINER, ["g/", "p/"], self.ends)

    def open(self, *, accept: bool = False) -> BlobStore:
        settings = StoreSettings(
            root=self.root, account=ACCOUNT, account_key=KEY, reserve_bytes=0, accept_clock=accept
        )
        return open_store(settings, self.clock, SystemChance())

    def put(self, objects: dict[str, bytes]) -> None:
        for name, data in objects.items():
            upload = self.store.begin(CONTAINER, name, len(data))
            upload.write([data])
            self.store.commit(upload, Facts())

    def standstill(self, days: float, *, accept: bool = False) -> None:
        """Stopped, the clock set, and started again."""
        self.store.close()
        self.clock.set(self.clock.now().add(seconds=days * DAY).format_iso())
        self.store = self.open(accept=accept)

    def file(self, kind: str = "g/", number: int = 0) -> Path:
        names = sorted(name for name in memory(self.world) if name.startswith(kind))
        path = self.files / names[number]
        path.chmod(0o600)
        return path

    def book(self, statement: str) -> None:
        """Written into the ledger, past the endpoint."""
        with sqlite3.connect(self.ledger) as connection:
            connection.execute(statement)
        connection.close()

    # Who looks.

    def reads_user_data(self) -> bool:
        plain = [content for content in small_tree().values() if content.strip(bytes(1))[64:]]
        return any(
            text[:64] in path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
            for text in plain
        )

    def deletes_locked(self) -> bool:
        """By the account key, at the endpoint; or what root took from the disk before."""
        gone = any(not (self.files / name).exists() for name in memory(self.world))
        with suppress(Locked, ObjectMissing):
            pack = next(name for name in memory(self.world) if name.startswith("g/"))
            self.store.delete(CONTAINER, pack, "account-key")
            return True
        return gone

    def restores_wrong(self) -> bool:
        """A restore raises, or gives what was backed up."""
        for point in (POINT, OTHER):
            with suppress(VaultError):
                found = restore(DirectoryBlobs(self.files), self.world.keys.recovery, point)
                if found != small_tree():
                    return True
        return False

    def scrub_finds(self) -> bool:
        """Every blob is read again."""
        later = FakeClock(self.clock.now().add(seconds=60).format_iso())
        scrub = Scrub(self.store, later, days=0.0, bytes_per_second=1 << 30)
        for _ in self.store.page(CONTAINER, Asked()).blobs:
            scrub.look()
        return bool(self.store.looking.damaged(CONTAINER))

    def outside_finds(self) -> bool:
        """What the control plane's daily look (workflows/proof/lost.py) compares: objects, locks.

        Before that, its requests are refused by an endpoint whose clock is not its own.
        """
        apart = abs((self.clock.now() - NOW).total("seconds"))
        if apart > MAX_SKEW_SECONDS:
            return True
        points, signing = [Known(POINT), Known(OTHER)], self.world.keys.recovery.verify
        needs = needs_of(DirectoryBlobs(self.files), signing, points)
        listed = {blob.name for blob in self.store.page(CONTAINER, Asked()).blobs}
        lock = self.store.locks.of(CONTAINER, f"p/{POINT}.receipt")
        is_short = lock.until is None or lock.until < self.ends
        return is_short or not set().union(*needs.values()) <= listed


@dataclass(frozen=True)
class Known:
    """A point that the catalogue lists."""

    id: str


def nothing(host: Host) -> None:
    del host


def flip(host: Host) -> None:
    path = host.file()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(host: Host) -> None:
    one, two = host.file(number=0), host.file(number=1)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def forge(host: Host) -> None:
    """A point of another world, under this one's name."""
    foreign = memory(micro_world(2))
    for kind in ("receipt", "manifest"):
        path = host.files / f"p/{POINT}.{kind}"
        path.chmod(0o600)
        path.write_bytes(foreign[f"p/{POINT}.{kind}"])


def set_back(*points: str, disk: bool = True, ledger: bool = True) -> Callable[[Host], None]:
    """The storage as it was before these points: R1."""

    def act(host: Host) -> None:
        for name in memory(host.world):
            if any(point in name for point in points):
                if disk:
                    (host.files / name).unlink()
                if ledger:
                    host.book(f"DELETE FROM blobs WHERE name = '{name}'")

    return act


def many_standstills(host: Host) -> None:
    for _ in range(5):
        host.standstill(6.9)


@dataclass(frozen=True)
class Deed:
    says: str
    act: Callable[[Host], object] = field(default=nothing)


DEEDS = [
    Deed("look at every file"),
    Deed("set the clock ten years on", lambda host: host.clock.set("2036-01-01T00:00:00Z")),
    Deed("set it ten years on while the endpoint stands still",
         lambda host: host.standstill(3650)),
    Deed("set it a week on, five times, each at a standstill", many_standstills),
    Deed("have the endpoint accept a clock that is ten years on",
         lambda host: host.standstill(3650, accept=True)),
    Deed("set the clock ten years back", lambda host: host.clock.set("2016-01-01T00:00:00Z")),
    Deed("change a bit of a pack", flip),
    Deed("cut a pack short", lambda host: host.file().write_bytes(host.file().read_bytes()[:-9])),
    Deed("let two packs change places", swap),
    Deed("delete a pack", lambda host: host.file().unlink()),
    Deed("put a forged point in the place of one", forge),
    Deed("hide a point: delete its receipt",
         lambda host: (host.files / f"p/{POINT}.receipt").unlink()),
    Deed("set disk and ledger back to before the last point", set_back(OTHER)),
    Deed("set them back to before every point", set_back(POINT, OTHER)),
    Deed("set the disk back alone", set_back(OTHER, ledger=False)),
    Deed("set the ledger back alone", set_back(OTHER, disk=False)),
    Deed("set the locks of the ledger back alone",
         lambda host: host.book("UPDATE locks SET until = until - 20 * 86400 * 1000000")),
    Deed("strike the locks out of the ledger",
         lambda host: (host.book("DELETE FROM locks"), host.book("DELETE FROM immutability"))),
]  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    world = micro_world()
    world.back_up(small_tree(), OTHER)
    home, found = tmp_path_factory.mktemp("host"), {}
    for number, deed in enumerate(DEEDS):
        host = Host(home / str(number), world)
        try:
            deed.act(host)
            told = [host.reads_user_data(), host.restores_wrong(), host.scrub_finds()]
            told += [host.outside_finds(), host.deletes_locked()]
        finally:
            host.store.close()
            shutil.rmtree(host.root)
        reads, wrong, scrub, outside, deletes = ("yes" if each else "no" for each in told)
        found[deed.says] = [reads, deletes, wrong, scrub, outside]
    return found


def test_the_page_tells_what_root_of_the_storage_host_can_do(table: dict[str, list[str]]) -> None:
    check_table("root of the storage host", COLUMNS, table)


def test_nothing_opens_and_nothing_wrong_is_restored(table: dict[str, list[str]]) -> None:
    assert {said[0] for said in table.values()} == {"no"}
    assert {said[2] for said in table.values()} == {"no"}


def test_whatever_root_takes_or_changes_somebody_finds(table: dict[str, list[str]]) -> None:
    unseen = {says for says, said in table.items() if "yes" not in said[3:]}
    assert unseen == {"look at every file"}
