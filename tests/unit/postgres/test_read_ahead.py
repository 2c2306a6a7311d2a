"""Pieces of a file in their order, several of them read at once."""

import threading
from contextlib import closing

import pytest

from strongroom.postgres.backup.read_ahead import PIECE, ReadAhead

SIZE = 6 * PIECE + 5


@pytest.mark.parametrize("readers", [1, 3])
def test_pieces_come_in_order_and_are_the_whole_file(readers: int) -> None:
    with closing(ReadAhead(readers)) as ahead:
        found = [*ahead.pieces(lambda length, offset: b"%d %d" % (offset, length), SIZE)]
    assert found == [b"%d %d" % (n * PIECE, min(PIECE, SIZE - n * PIECE)) for n in range(7)]


def test_as_many_are_read_at_once_as_there_are_readers() -> None:
    """Each of the first waits for two others: with fewer readers none would ever end."""
    together = threading.Barrier(3)

    def read(length: int, offset: int) -> bytes:
        if offset < 3 * PIECE:
            together.wait(60)
        return b""

    with closing(ReadAhead(3)) as ahead:
        assert len([*ahead.pieces(read, SIZE)]) == 7


def test_no_read_is_under_way_when_a_file_has_been_left_early() -> None:
    """Its descriptor is closed then: another file could have the number."""
    under_way, begun, go = set(), threading.Event(), threading.Event()

    def read(length: int, offset: int) -> bytes:
        if offset:
            under_way.add(offset)
            begun.set()
            go.wait(60)
            under_way.remove(offset)
        return b""

    with closing(ReadAhead(2)) as ahead:
        pieces = ahead.pieces(read, SIZE)
        next(pieces)
        assert begun.wait(60)
        left = []

        def leave() -> None:
            pieces.close()
            left.append(set(under_way))

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join(0.2)  # who does not wait is gone by now
        go.set()
        thread.join()
        assert left == [set()]


def test_what_a_read_raises_is_raised_at_its_place() -> None:
    def read(length: int, offset: int) -> bytes:
        if offset == 2 * PIECE:
            raise OSError("damaged")
        return b""

    with closing(ReadAhead(3)) as ahead:
        pieces = ahead.pieces(read, SIZE)
        next(pieces)
        next(pieces)
        with pytest.raises(OSError, match="damaged"):
            next(pieces)
