"""What holds a backup back is told from where its time goes: over a clock of the test's own."""

from collections.abc import Iterator
from random import Random

import pytest

from seams import FakeClock, SeededChance
from strongroom.agent.backup.held_by import WINDOW_SECONDS, HeldBy
from strongroom.datastore.maps.manifest import FileFacts
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Bytes, MemoryBlobs
from strongroom.datastore.places.throttle import Throttle
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.work.operation import BY_LIMIT, BY_NETWORK, BY_SERVER

PACK = 256 << 10
KEY = KeyPair.generate(SeededChance()).public


class Slow(MemoryBlobs):
    """Storage behind a network that takes so many seconds for each object."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def create(self, name: str, data: Bytes) -> None:
        self.clock.advance(self.seconds)
        super().create(name, data)


@pytest.mark.parametrize(
    ("reading", "rate", "sending", "told"),
    [
        (2.0, 0, 0.0, BY_SERVER),
        (0.0, PACK // 4, 0.1, BY_LIMIT),
        (0.0, 0, 6.0, BY_NETWORK),
        (0.0, 0, 0.01, ""),
    ],
)
def test_what_is_waited_for_most_is_told(
    reading: float, rate: int, sending: float, told: str
) -> None:
    clock, chance = FakeClock(), SeededChance()
    throttle = Throttle(clock)
    writer = DatastoreWriter(
        Slow(clock, sending),
        "g",
        KeyPair.generate(chance).public,
        clock,
        chance,
        pack_raw_size=PACK,
        pace=lambda count: throttle.reserve(count, rate),
    )
    held_by, noise = HeldBy(clock, writer), Random(1)

    def pieces() -> Iterator[bytes]:
        for _ in range(16):
            clock.advance(reading)
            yield noise.randbytes(PACK)

    stream = writer.stream()
    stream.begin_file(FileFacts(path="base/1", size=16 * PACK, mode=0o600, mtime=0, kind="main"))
    assert held_by.told() == ""
    for data in held_by.reading(pieces()):
        stream.write(data)
    stream.end_file()
    stream.close()
    writer.finish()
    clock.advance(max(0.0, WINDOW_SECONDS - clock.monotonic()))
    assert held_by.told() == told


def test_of_several_readers_all_must_wait_for_the_server_before_it_is_told() -> None:
    clock = FakeClock()
    held_by = HeldBy(clock, DatastoreWriter(MemoryBlobs(), "g", KEY, clock, SeededChance()))

    def pieces(seconds: float) -> Iterator[bytes]:
        while True:
            clock.advance(seconds)
            yield b""

    slow, quick = held_by.reading(pieces(3.0)), held_by.reading(pieces(0.0))
    for _ in range(4):  # twelve seconds, in which the other one has waited for nothing
        next(slow), next(quick)
    assert held_by.told() == ""
    quick.close()
    for _ in range(4):
        next(slow)
    assert held_by.told() == BY_SERVER
