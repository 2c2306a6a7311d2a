"""What a target's files hold is what was written, whether past the page cache or through it."""

import mmap
import os
import tempfile
from pathlib import Path

import pytest

from strongroom.postgres.restore import target_files
from strongroom.postgres.restore.target_files import TargetFiles

pytestmark = pytest.mark.P7
SIZE = 3 << 20
BYTES = os.urandom(SIZE)


@pytest.fixture
def path():
    """On a disk: memory takes directly what no disk would, such as half a block."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        path = Path(directory, "file")
        path.touch()
        yield path


def files_at(path: Path, *, direct: bool = True) -> TargetFiles:
    return TargetFiles(lambda _, flags: os.open(path, os.O_WRONLY | flags), direct=direct)


def opened_directly(path: Path) -> int:
    """How many descriptors of this process write to it past the page cache. Source: proc(5)."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and link.readlink() == path:
            (flags,) = (
                int(line.split()[1], 8)
                for line in Path("/proc/self/fdinfo", link.name).read_text().splitlines()
                if line.startswith("flags")
            )
            found += bool(flags & os.O_DIRECT)
    return found


def in_memory(shift: int) -> memoryview:
    """The bytes, so far from the beginning of a page of memory."""
    room = memoryview(mmap.mmap(-1, SIZE + shift))
    room[shift:] = BYTES
    return room[shift:]


@pytest.mark.parametrize("shift", [0, 3, 4096])
@pytest.mark.parametrize(
    ("start", "end"), [(0, SIZE), (5, SIZE), (4096, SIZE - 1), (8191, 200_000), (7, 4000)]
)
def test_any_piece_of_a_file_is_written_as_it_is(path, shift, start, end):
    files = files_at(path)
    files.write(0, in_memory(shift)[start:end], start)
    files.close()
    assert path.read_bytes() == bytes(start) + BYTES[start:end]


def test_pieces_that_meet_within_a_block_do_not_harm_each_other(path):
    files = files_at(path)
    for start, end in ((1_000_001, SIZE), (0, 500_000), (500_000, 1_000_001)):
        files.write(0, memoryview(BYTES)[start:end], start)
    files.close()
    assert path.read_bytes() == BYTES


def test_only_large_pieces_go_past_the_page_cache_and_only_where_that_is_wanted(path):
    files = files_at(path)
    files.write(0, memoryview(BYTES)[:8192], 0)
    assert opened_directly(path) == 0
    files.write(0, in_memory(0), 0)
    assert opened_directly(path) == 1
    files.close()
    files.close()
    files = files_at(path, direct=False)
    files.write(0, in_memory(0), 0)
    assert opened_directly(path) == 0
    files.close()


def test_what_no_disk_takes_directly_is_written_all_the_same(path, monkeypatch):
    """Asked for single bytes, the kernel refuses as it does where it knows no direct writes."""
    monkeypatch.setattr(target_files, "_BLOCK", 1)
    files = files_at(path)
    files.write(0, in_memory(3)[1:], 1)
    files.write(0, in_memory(3)[:1], 0)
    files.close()
    assert path.read_bytes() == BYTES


def test_a_disk_that_says_no_is_heard(path):
    files = TargetFiles(lambda _, flags: os.open("/dev/full", os.O_WRONLY), direct=True)
    with pytest.raises(OSError, match="No space left"):
        files.write(0, in_memory(0), 0)
    files.close()
