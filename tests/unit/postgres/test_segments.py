"""Write-ahead log is cut into the files that a server would have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.postgres import Lsn, Timeline
from strongroom.postgres.log.walstream import SegmentCutter, segment_name
from strongroom.postgres.server.events import FileBegun, FileData, FileEnded


@pytest.mark.parametrize(
    ("timeline", "lsn", "size", "name"),
    [
        (1, 0x2000028, 16 << 20, "000000010000000000000002"),
        (0x1F, 0x1_FF000000, 16 << 20, "0000001F00000001000000FF"),
        (2, 0x1_00000000, 1 << 20, "000000020000000100000000"),
        (1, 0xFFFFFFFF, 1 << 30, "000000010000000000000003"),
    ],
)
def test_names_are_those_of_the_server(timeline, lsn, size, name):
    assert segment_name(Timeline(timeline), Lsn(lsn), size) == name


@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=8), st.sampled_from([512, 1024]))
def test_segments_hold_all_bytes_and_zeros_after_the_last(chunks, size):
    start = Lsn(size * 5)
    cutter = SegmentCutter(size, Timeline(1), 7)
    files: list[tuple[FileBegun, bytearray]] = []
    ended = 0
    for event in cutter.cut(iter(map(memoryview, chunks)), start):
        match event:
            case FileBegun():
                assert ended == len(files)
                files.append((event, bytearray()))
            case FileData(data):
                files[-1][1].extend(data)
            case FileEnded():
                ended += 1
    data = b"".join(chunks)
    assert ended == len(files) == max(1, -(-len(data) // size))
    assert all(len(content) == begun.size == size for begun, content in files)
    assert b"".join(content for _, content in files).rstrip(b"\0") == data.rstrip(b"\0")
    assert [begun.path for begun, _ in files] == [
        f"pg_wal/{segment_name(Timeline(1), Lsn(start + i * size), size)}"
        for i in range(len(files))
    ]
