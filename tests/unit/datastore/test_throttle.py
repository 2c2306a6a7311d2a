"""How fast bytes go into storage, and how small: counted over a clock of the test's own."""

from random import Random

import pytest

from seams import FakeClock, SeededChance
from strongroom.agent.backup.limits import Limits
from strongroom.agent.memory import WHOLE
from strongroom.datastore.maps.manifest import FileFacts
from strongroom.datastore.maps.page_parts import store_page_versions
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Bytes, MemoryBlobs
from strongroom.datastore.places.throttle import PacedBlobs, Throttle
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import Cancelled
from strongroom.model.work.operation import BackupOrder

RATE = 1 << 20
PACK = 256 << 10


class Watched(MemoryBlobs):
    """Notes when each object came: (seconds, bytes)."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.came: list[tuple[float, int]] = []

    def create(self, name: str, data: Bytes) -> None:
        super().create(name, data)
        self.came.append((self.clock.monotonic(), len(data)))


def write(writer: DatastoreWriter, data: bytes) -> None:
    stream = writer.stream()
    stream.begin_file(FileFacts(path="base/1", size=len(data), mode=0o600, mtime=0, kind="main"))
    stream.write(data)
    stream.end_file()
    stream.close()


def test_no_more_than_the_rate_and_one_pack_goes_out_over_any_time() -> None:
    clock, chance = FakeClock(), SeededChance()
    blobs, throttle = Watched(clock), Throttle(clock)
    writer = DatastoreWriter(
        blobs,
        "g",
        KeyPair.generate(chance).public,
        clock,
        chance,
        pack_raw_size=PACK,
        pace=lambda count: throttle.reserve(count, RATE),
    )
    write(writer, Random(1).randbytes(5 << 20))
    writer.finish()
    sent = largest = 0
    for at, size in blobs.came:
        sent, largest = sent + size, max(largest, size)
        assert sent <= RATE * at + largest
    assert sent > 5 << 20
    assert blobs.came[-1][0] >= 4.5


def test_a_backup_that_is_given_up_does_not_wait_for_its_turn() -> None:
    """Were it to wait, the clock would stand at an hour."""
    clock, chance = FakeClock(), SeededChance()

    def pace(_: int) -> float:
        writer.abort_soon()  # while it has an hour to wait
        return 3600.0

    key = KeyPair.generate(chance).public
    writer = DatastoreWriter(MemoryBlobs(), "g", key, clock, chance, pace=pace)
    write(writer, b"x" * 8192)
    with pytest.raises(Cancelled):
        writer.finish()
    assert clock.monotonic() < 3600


def order(**settings: int) -> BackupOrder:
    names = ("server", "job_id", "recovery_point_id", "instance_id", "generation", "delta_name")
    keys = ("catalogue_key_id", "catalogue_public_key", "data_key_id", "data_public_key")
    return BackupOrder(**dict.fromkeys(names, "x"), **dict.fromkeys(keys, b""), **settings)


def test_the_agents_own_bandwidth_is_shared_by_its_backups_and_each_has_its_instances_too() -> (
    None
):
    limits = Limits(FakeClock())
    first = limits.applied(order(), WHOLE, bandwidth=RATE)
    second = limits.applied(order(bandwidth=RATE // 4), WHOLE, bandwidth=RATE)
    assert first.pace(RATE) == 0
    assert second.pace(RATE) == 1  # behind the other one's
    assert first.pace(RATE) == 2
    assert second.pace(RATE) == 4  # its own: a quarter of the rate
    free = limits.applied(order(), WHOLE, bandwidth=0)
    assert free.pace(1 << 40) == free.pace(1 << 40) == 0


def test_page_versions_that_go_in_parts_go_at_the_same_pace() -> None:
    clock, chance = FakeClock(), SeededChance()
    blobs, throttle = Watched(clock), Throttle(clock)
    versions = {f"base/5/{n}": Random(n).randbytes(2 << 20) for n in range(6)}
    key = KeyPair.generate(chance).public
    paced = PacedBlobs(blobs, lambda count: throttle.reserve(count, RATE), clock.sleep)
    _, parts = store_page_versions(versions, paced, "g", key, clock, chance)
    assert len(parts) == len(blobs.came) > 1
    before = 0
    for at, size in blobs.came:
        assert at == pytest.approx(before / RATE)
        before += size


def test_packs_are_small_where_the_way_is_slow_and_lanes_are_as_many_as_were_asked_for() -> None:
    limits = Limits(FakeClock())
    slow = limits.applied(order(bandwidth=1 << 20, parallelism=5), WHOLE, bandwidth=0)
    assert (slow.pack_raw_size, slow.lanes) == (4 << 20, 5)
    fast = limits.applied(order(bandwidth=1 << 40), WHOLE, bandwidth=0)
    assert (fast.pack_raw_size, fast.lanes) == (WHOLE.pack_raw_size, WHOLE.lanes)


def test_a_higher_level_stores_less() -> None:
    chance = SeededChance()
    text = "\n".join(f"{n * n} rows of {n * 7919 % 1000}" for n in range(20_000)).encode()
    stored = []
    for level in (1, 19):
        blobs = MemoryBlobs()
        key = KeyPair.generate(chance).public
        writer = DatastoreWriter(blobs, "g", key, FakeClock(), chance, level=level)
        write(writer, text)
        writer.finish()
        stored.append(sum(map(len, blobs.objects.values())))
    assert stored[1] < stored[0] * 0.95
