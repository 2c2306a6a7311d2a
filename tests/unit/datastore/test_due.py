"""Telling what is stored so far costs a 32nd of what is stored, and of the time, at most."""

import random

from seams import FakeClock, SeededChance
from strongroom.datastore.care.partial import Due
from strongroom.datastore.maps.manifest import FileFacts
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.datastore.writing.writer import DatastoreWriter

PAIR = KeyPair.generate(SeededChance(1))


def store_more(writer: DatastoreWriter, size: int = 1 << 20) -> None:
    """A pack of its own."""
    stream = writer.stream()
    stream.begin_file(FileFacts(path="f", size=size, mode=0, mtime=0, kind="other"))
    stream.write(random.Random(7).randbytes(size))
    stream.end_file()
    stream.close()
    for sent in writer._sent:
        sent.result()


def test_the_first_is_due_with_the_first_pack_and_the_next_with_a_second() -> None:
    clock = FakeClock()
    writer = DatastoreWriter(MemoryBlobs(), "1", PAIR.public, clock, SeededChance(2))
    due = Due(writer, clock)
    assert not due()
    store_more(writer)
    assert due()
    due.put(1000, 0.0)
    assert not due()
    store_more(writer)
    assert due()
    writer.finish()


def test_one_that_took_long_has_the_next_wait_thirty_two_times_as_long() -> None:
    clock = FakeClock()
    writer = DatastoreWriter(MemoryBlobs(), "1", PAIR.public, clock, SeededChance(2))
    due = Due(writer, clock)
    store_more(writer)
    due.put(1000, 0.5)
    store_more(writer)
    clock.advance(15.9)
    assert not due()
    clock.advance(0.1)
    assert due()
    writer.finish()
