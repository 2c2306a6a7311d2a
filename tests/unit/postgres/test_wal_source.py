"""Where a stream goes on: joined to what is kept, or behind a gap that is told."""

from dataclasses import replace

import pytest

from strongroom.model.errors import SourceRefused
from strongroom.model.postgres import Lsn, SystemIdentifier, Timeline
from strongroom.postgres.log.wal_source import Found, Kept, Place, place_after, slot_name
from strongroom.postgres.server.system import System

SIZE = 16 << 20
HISTORY = "1\t0/6000100\tno recovery target specified\n\n2\t0/8000200\tno recovery target\n"


def a_server(timeline: int = 1, at: int = 9 * SIZE + 77, identifier: int = 7) -> Found:
    system = System(SystemIdentifier(identifier), Timeline(timeline), 150000, SIZE, checksums=True)
    return Found(system, Lsn(at), {3: HISTORY} if timeline == 3 else {})


def place(found: Found, timeline: int, end: int, lost: str = "") -> tuple[int, int, bool]:
    kept = Kept("7", timeline, end) if timeline else Kept()
    where = place_after(found, kept, lost)
    return where.timeline, where.start, bool(where.why)


def test_the_first_stream_begins_with_a_whole_segment() -> None:
    assert place(a_server(), 0, 0) == (1, 9 * SIZE, False)


def test_the_first_stream_begins_where_a_backup_under_way_may_have_ended() -> None:
    """The backup's own checkpoint lies before its end."""
    redo = Lsn(7 * SIZE + 40)
    assert place_after(a_server(), Kept(), since=redo) == Place(Timeline(1), Lsn(7 * SIZE))
    behind = Lsn(10 * SIZE)  # of a checkpoint that came between the two questions
    assert place_after(a_server(), Kept(), since=behind) == Place(Timeline(1), Lsn(9 * SIZE))
    assert place_after(a_server(), Kept("7", 1, 8 * SIZE), since=redo).start == 8 * SIZE


def test_a_stream_goes_on_where_the_vault_has_it() -> None:
    assert place(a_server(), 1, 7 * SIZE + 5) == (1, 7 * SIZE + 5, False)


def test_the_rest_of_a_timeline_comes_before_the_next_one() -> None:
    assert place(a_server(3), 1, 0x5000000) == (1, 0x5000000, False)
    assert place(a_server(3), 1, 0x6000100) == (2, 0x6000000, False)
    assert place(a_server(3), 2, 0x7000000) == (2, 0x7000000, False)
    assert place(a_server(3), 2, 0x8000200) == (3, 0x8000000, False)


def test_more_than_the_new_primary_had_is_kept_and_the_fork_is_followed() -> None:
    assert place(a_server(3), 1, 0x6F00000) == (2, 0x6000000, False)


def test_a_server_that_is_not_as_far_as_its_log_is_kept_is_refused_on_the_same_timeline() -> None:
    """What it wrote there would be other log in the same places."""
    with pytest.raises(SourceRefused, match="its log is kept up to 0/B000000") as refused:
        place(a_server(), 1, 11 * SIZE)
    assert "promote it" in refused.value.hint


def test_another_server_a_lost_slot_and_a_timeline_elsewhere_begin_behind_a_gap() -> None:
    assert place(a_server(identifier=8), 1, 7 * SIZE) == (1, 9 * SIZE, True)
    assert place(a_server(), 1, 7 * SIZE, "the slot is gone") == (1, 9 * SIZE, True)
    assert place(a_server(3), 4, 7 * SIZE) == (3, 9 * SIZE, True)


def test_a_second_server_that_was_promoted_to_the_same_timeline_is_refused() -> None:
    other = HISTORY.replace("0/6000100", "0/6000200")
    kept = Kept("7", 2, 0x7000000, "1\t0/6000100\tno recovery target specified\n")
    assert place_after(a_server(3), kept).timeline == 2
    apart = replace(a_server(3), histories={3: other})
    for end in (0x7000000, 0x8000200):
        with pytest.raises(SourceRefused, match="timeline 2 began elsewhere"):
            place_after(apart, replace(kept, end=end))
    whole = Kept("7", 3, 9 * SIZE, HISTORY)
    assert place_after(a_server(3), whole) == Place(Timeline(3), Lsn(9 * SIZE))
    with pytest.raises(SourceRefused, match="timeline 3 began elsewhere"):
        place_after(apart, whole)
    anew = replace(apart, system=replace(apart.system, identifier=SystemIdentifier(8)))
    assert place_after(anew, whole).why


def test_a_slot_is_named_as_postgresql_takes_it() -> None:
    name = slot_name("0123456789abcdef" * 2)
    assert name == "strongroom_" + "0123456789abcdef" * 2
    assert len(name) <= 63
