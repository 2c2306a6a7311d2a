"""Condensed log: every byte comes back, and what can be computed is not kept."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import second_reader
from log_made import PAGE, Writer
from seams import SystemChance, SystemClock
from strongroom.datastore.packs.pack import CONDENSED, PACK, open_content_key
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.packs.wal_condensed import condense, expand_into
from strongroom.datastore.packs.wal_pack import (
    WAL_FRAME,
    log_header,
    open_any_log,
    open_log_into,
    seal_log,
)
from strongroom.model.errors import Corrupt

SEGMENT = 65536
FIRST = 5 * SEGMENT
PAIR = KeyPair.generate(SystemChance())


def a_log(lengths: list[int], seed: int = 1) -> Writer:
    chance, server = random.Random(seed), Writer(FIRST, SEGMENT)
    for length in lengths:
        server.writes(chance.randbytes(length))
    return server


def back(condensed: bytes) -> tuple[int, bytes]:
    room = memoryview(bytearray(1 << 20))
    start, length = expand_into(room, condensed)
    return start, bytes(room[:length])


def whole_headers(server: Writer, begin: int = 0) -> int:
    return sum(at >= begin and at % PAGE <= PAGE - 24 for at in server.starts)


def test_of_each_record_the_place_of_the_one_before_and_its_checksum_are_left_out() -> None:
    server = a_log([*range(200), 9000, 30_000, 3, 70_000, *range(50)])
    log = bytes(server.log)
    condensed = condense(log, FIRST, SEGMENT)
    assert len(log) - len(condensed) == 12 * whole_headers(server) - (52 + 16)
    assert back(condensed) == (FIRST, log)


@given(
    lengths=st.lists(st.one_of(st.integers(0, 80), st.integers(0, 20_000)), max_size=60),
    cut=st.integers(0, 1000),
    ends=st.integers(0, 1000),
    damage=st.lists(st.integers(0, 1000), max_size=3),
    switch=st.booleans(),
)
def test_whatever_lies_there_comes_back(lengths, cut, ends, damage, switch) -> None:
    server = a_log(lengths)
    if switch:
        server.switches()
    for length in lengths[:9]:
        server.writes(bytes(length))
    log = server.log
    for each in damage:
        if log:
            log[each * (len(log) - 1) // 1000] ^= 0x40
    begin, end = cut * len(log) // 2000, len(log) - ends * len(log) // 2000
    part = bytes(log[begin:end])
    condensed = condense(part, FIRST + begin, SEGMENT)
    assert back(condensed) == (FIRST + begin, part)


@given(st.binary(max_size=50_000), st.integers(0, 1 << 60))
def test_what_is_no_log_comes_back(raw, start) -> None:
    assert back(condense(raw, start, SEGMENT)) == (start, raw)


def test_a_record_that_is_damaged_stays_as_it_is_and_those_of_the_next_page_are_condensed() -> (
    None
):
    server = a_log([100] * 1000)
    log, at = server.log, server.starts[500]
    log[at + 30] ^= 1
    condensed = condense(bytes(log), FIRST, SEGMENT)
    resumed = next(start for start in server.starts if start // PAGE > at // PAGE)
    kept = sum(at <= start < resumed and start % PAGE <= PAGE - 24 for start in server.starts)
    left_out = whole_headers(server) - kept
    assert 1 < kept < 80
    assert len(log) - len(condensed) == 12 * left_out - (52 + 2 * 16)
    assert back(condensed) == (FIRST, bytes(log))


@given(st.data())
def test_what_was_changed_gives_no_other_log(data) -> None:
    server = a_log([40, 9000, 3, 100, 40, 8000, 8100, 7, 64])
    log = bytes(server.log)
    condensed = bytearray(condense(log, FIRST, SEGMENT))
    at = data.draw(st.one_of(st.integers(0, 80), st.integers(0, len(condensed) - 1)))
    condensed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = back(bytes(condensed[: data.draw(st.sampled_from([None, 10, 60, -1]))]))
    except Corrupt:
        return
    # Who opens it compares the start; a segment's size may be another one that fits as well.
    assert at < 16
    assert found[1] == log


def test_a_hostile_writer_makes_nobody_count_for_ever() -> None:
    head = struct.pack(">QII32sI", FIRST, 1 << 20, SEGMENT, bytes(32), 1)
    endless = head + struct.pack(">IIQ", 0, 0xFFFFFFFF, 0)
    for rest in (b"", bytes(100_000), b"\xff" * 100_000, b"\x18" + bytes(100_000)):
        with pytest.raises(Corrupt):
            back(endless + rest)


def test_the_second_reader_reads_condensed_log() -> None:
    server = a_log([*range(150), 9000, 20_000, 3, *range(300, 400)])
    begin = server.starts[20]
    log = bytes(server.log[begin:])
    condensed = condense(log, FIRST + begin, SEGMENT)
    sealed = seal_log(condensed, PAIR.public, SystemClock(), SystemChance(), magic=CONDENSED)
    keys = {PAIR.public.key_id: second_reader.PrivateKey(PAIR.to_bytes())}
    assert second_reader.log_range(sealed, keys) == (FIRST + begin, log)


def test_a_condensed_pack_is_opened_as_the_range_that_it_is() -> None:
    log = bytes(a_log([60] * 900).log)
    packs = {
        magic: seal_log(raw, PAIR.public, SystemClock(), SystemChance(), magic=magic)
        for magic, raw in ((CONDENSED, condense(log, FIRST, SEGMENT)), (PACK, log))
    }
    for magic, sealed in packs.items():
        header = log_header(sealed)
        assert header.magic == magic
        room, key = bytearray(WAL_FRAME), open_content_key(header, PAIR)
        open_log_into(room, sealed, key, FIRST, len(log))
        assert room[: len(log)] == log
        assert open_any_log(sealed, lambda _: PAIR, FIRST) == log
        with pytest.raises(Corrupt, match="bytes of log"):
            open_log_into(room, sealed, key, FIRST, len(log) + 8)
    with pytest.raises(Corrupt, match="bytes of log"):
        open_any_log(packs[CONDENSED], lambda _: PAIR, FIRST + SEGMENT)
    assert len(packs[CONDENSED]) < 0.95 * len(packs[PACK])


def test_condensed_log_lies_as_the_page_of_the_format_says() -> None:
    log = bytes.fromhex(
        "1b000000bc02000028000500000000000"
        "00a000008cfe0be61626300000000002c000000bc020000"
        "4000050000000000000a00000bdf742d7878787878787878787878787878787878787878"
        "00000000"
    )
    condensed = bytes.fromhex(
        "0000000000050040"
        "00000050"
        "00010000"  # start, length, segment size
        "a2661682dd19cffe7b37a7334ca81f360eacd287702f11b3e95280fd5083865f"
        "00000001"
        "00000000"
        "00000002"
        "0000000000050028"  # one stretch of two records
        "1b000000bc020000"
        "000a0000"
        "6162630000000000"
        "2c000000bc020000"
        "000a0000"
        "7878787878787878787878787878787878787878"
        "00000000"
    )
    assert condense(log, 0x50040, SEGMENT) == condensed
    assert back(condensed) == (0x50040, log)
