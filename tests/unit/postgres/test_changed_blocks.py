"""What of a file has to come: decided as the server decides it when it sends an increment."""

import numpy as np
import pytest

from strongroom.model.postgres import PAGE
from strongroom.postgres.backup.changed_blocks import ChangedBlocks
from strongroom.postgres.wire.wal_summary_file import ForkChanges

SEGMENT = (1 << 30) // PAGE
MAIN = "base/5/16384"
KNOWN = {
    MAIN,
    f"{MAIN}.1",
    f"{MAIN}_vm",
    f"{MAIN}_fsm",
    "global/1262",
    "base/5/pg_filenode.map",
    "pg_tblspc/16400/PG_18_202506291/5/16401",
}


def changes(
    *blocks: int, limit: int | None = None, space: int = 1663, database: int = 5,
    relation: int = 16384, fork: int = 0,
) -> ForkChanges:  # fmt: skip
    found = np.array(blocks, dtype=np.uint32)
    return ForkChanges(space, database, relation, fork, limit, found)


def part(path: str, pages: int, *told: ForkChanges) -> tuple[list[int], int] | None:
    found = ChangedBlocks(KNOWN, told).part_of(path, pages * PAGE)
    return None if found is None else (found.blocks.tolist(), found.kept)


def test_the_blocks_that_any_summary_names_come_and_the_rest_is_kept():
    assert part(MAIN, 100, changes(7, 3), changes(3, 99, 100)) == ([3, 7, 99], 100)


def test_a_file_of_which_no_log_tells_has_not_changed():
    assert part(MAIN, 100, changes(1, relation=7)) == ([], 100)
    assert part(MAIN, 1) == ([], 1)


def test_a_segment_takes_its_own_blocks():
    told = changes(5, SEGMENT + 2, SEGMENT + 500)
    assert part(f"{MAIN}.1", 300, told) == ([2], 300)


def test_what_was_cut_off_is_not_taken_from_the_parent():
    assert part(MAIN, 100, changes(80, 3), changes(limit=40)) == ([3, 80], 40)
    assert part(MAIN, 30, changes(3), changes(limit=40)) == ([3], 30)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{MAIN}_fsm", []),
        ("base/5/99999", []),
        ("base/5/pg_filenode.map", []),
        (MAIN, [changes(limit=0)]),
        (MAIN, [changes(*range(95))]),
        (MAIN, [changes(relation=0)]),
        (f"{MAIN}.1", [changes(limit=SEGMENT)]),
        ("pg_tblspc/16400/PG_18_202506291/5/16401", [changes(space=16400, relation=0)]),
    ],
    ids=["free space", "new", "no relation", "made anew", "nearly all", "database", "cut", "copy"],
)
def test_these_come_whole(path, told):
    assert part(path, 100, *told) is None


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("global/1262", {"space": 1664, "database": 0, "relation": 1262}),
        (f"{MAIN}_vm", {"fork": 2}),
        ("pg_tblspc/16400/PG_18_202506291/5/16401", {"space": 16400, "relation": 16401}),
    ],
)
def test_every_fork_of_every_tablespace_is_known_by_its_name(path, where):
    assert part(path, 100, changes(9, **where)) == ([9], 100)


def test_an_empty_or_broken_file_comes_whole():
    found = ChangedBlocks(KNOWN, [])
    assert found.part_of(MAIN, 0) is None
    assert found.part_of(MAIN, PAGE + 1) is None
