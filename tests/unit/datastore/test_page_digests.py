"""A pack says of each page what it is, to whoever may open it and to nobody else."""

import random

import pytest

from seams import FakeClock, SeededChance
from strongroom.datastore.maps.manifest import FileFacts, PackFacts
from strongroom.datastore.maps.page_digests import digests_by, read_digests
from strongroom.datastore.packs.pack import (
    DIGEST,
    PACK,
    TAG,
    PackReader,
    open_content_key,
    read_header,
)
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import Corrupt, WrongKey
from strongroom.model.postgres import PAGE

PAIR = KeyPair.generate(SeededChance(1))
CONTENT = random.Random(7).randbytes(40 * PAGE + 100)


def a_pack(*, digests: bool = True) -> tuple[MemoryBlobs, PackFacts, bytes]:
    blobs = MemoryBlobs()
    writer = DatastoreWriter(blobs, "1", PAIR.public, FakeClock(), SeededChance(2))
    stream = writer.stream(digests=digests)
    stream.begin_file(FileFacts(path="f", size=len(CONTENT), mode=0, mtime=0, kind="other"))
    stream.write(CONTENT)
    stream.end_file()
    stream.close()
    (facts,) = writer.finish().packs
    return blobs, facts, open_content_key(read_header(blobs.read(facts.name), PACK), PAIR)


class Fetches:
    def __init__(self, stored: bytes) -> None:
        self.stored = stored
        self.asked: list[int] = []

    def __call__(self, start: int, length: int) -> bytes:
        self.asked.append(length)
        return self.stored[start : start + length]


def test_every_page_has_a_digest_and_one_small_request_brings_them_all():
    blobs, facts, key = a_pack()
    fetch = Fetches(blobs.read(facts.name))
    found = read_digests(fetch, facts, key)
    assert len(found) == 41 * DIGEST
    assert len(fetch.asked) == 1
    assert fetch.asked[0] < 1000
    assert found == digests_by(key)(0, memoryview(CONTENT))
    assert found[8 * DIGEST : 9 * DIGEST] == digests_by(key)(
        8, memoryview(CONTENT)[8 * PAGE : 9 * PAGE]
    )


def test_a_page_has_another_digest_in_another_place_and_under_another_key():
    _, _, key = a_pack()
    page = memoryview(CONTENT)[:PAGE]
    told = [
        digests_by(key)(0, page),
        digests_by(key)(1, page),
        digests_by(bytes(32))(0, page),
    ]
    changed = bytearray(page)
    changed[5000] ^= 1
    told.append(digests_by(key)(0, memoryview(changed)))
    assert len(set(told)) == 4


def test_the_frames_are_read_as_ever_with_and_without_digests():
    for digests in (True, False):
        blobs, facts, key = a_pack(digests=digests)
        stored = blobs.read(facts.name)
        reader = PackReader(Fetches(stored), facts.size, facts.pack_id, key)
        assert b"".join(reader.every_frame())[: len(CONTENT)] == CONTENT
        assert reader.table.digests == (41 * DIGEST + TAG if digests else 0)
        if not digests:
            assert read_digests(Fetches(stored), facts, key) == b""


def test_digests_that_are_not_what_was_written_are_corrupt():
    blobs, facts, key = a_pack()
    stored = bytearray(blobs.read(facts.name))
    place = len(stored) - 12 - (4 + 8 * 3 + TAG) - 50
    stored[place] ^= 1
    with pytest.raises(Corrupt, match="the digests of pack"):
        read_digests(Fetches(bytes(stored)), facts, key)
    with pytest.raises(WrongKey):
        digests_by(b"short")
