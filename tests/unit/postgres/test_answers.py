"""Answers of a server, read from a socket: cut anywhere, refused, broken off, never ending."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.model.errors import Corrupt, SourceRefused, SourceStopped
from strongroom.postgres.server.answers import PlainAnswers
from strongroom.postgres.wire.backend import data_row, error_fields, whole_size


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + (len(body) + 4).to_bytes(4, "big") + body


def row(*columns: bytes | None) -> bytes:
    parts = [
        (-1).to_bytes(4, "big", signed=True)
        if column is None
        else len(column).to_bytes(4, "big") + column
        for column in columns
    ]
    return message("D", len(columns).to_bytes(2, "big") + b"".join(parts))


def said(kind: str, severity: str, state: str, words: str) -> bytes:
    return message(kind, f"S{severity}\0V{severity}\0C{state}\0M{words}\0\0".encode())


ROWS = message("T", b"\0\0") + row(b"0/2000028", b"1", None) + message("C", b"SELECT\0")
READY = message("Z", b"I")


@contextmanager
def answered(
    pieces: list[bytes], *, then_close: bool = False, watch: Callable[[], None] = lambda: None
) -> Iterator[tuple[PlainAnswers, list[tuple[str, str]], socket.socket]]:
    """A server that answers with these pieces, once it was asked."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    notes: list[tuple[str, str]] = []

    def serve() -> None:
        asked = theirs.recv(1000)
        assert asked == message("Q", b"COMMAND\0")
        for piece in pieces:
            theirs.sendall(piece)
        if then_close:
            theirs.close()

    serving = threading.Thread(target=serve)
    serving.start()
    answers = PlainAnswers(ours.fileno(), "COMMAND", watch, lambda *told: notes.append(told))
    try:
        yield answers, notes, ours
    finally:
        answers.close()
        ours.close()
        serving.join()
        theirs.close()


def in_pieces(whole: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole[at : at + size])
        at += size
    return [piece for piece in [*pieces, whole[at:]] if piece]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 90_000), max_size=12),
    st.lists(st.integers(1, 70_000), max_size=12),
)
def test_wherever_it_is_cut_the_same_comes(lengths: list[int], cuts: list[int]) -> None:
    bodies = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    whole = b"".join(
        [
            message("S", b"TimeZone\0UTC\0"),
            ROWS,
            message("H", b"\0\0\0"),
            *(message("d", body) for body in bodies[:6]),
            said("N", "WARNING", "01000", "checksum verification failed"),
            *(message("d", body) for body in bodies[6:]),
            message("c"),
            ROWS,
            message("C", b"BASE_BACKUP\0"),
            READY,
        ]
    )
    with answered(in_pieces(whole, cuts)) as (answers, notes, ours):
        assert answers.next_rows("asking") == [[b"0/2000028", b"1", b""]]
        answers.begin_copy("reading")
        assert [bytes(one) for one in list(answers.copied("reading"))] == bodies
        assert answers.next_rows("ending") == [[b"0/2000028", b"1", b""]]
        answers.settle("ending")
        assert notes == [("WARNING", "checksum verification failed")]
        assert not ours.getblocking(), "the connection is as libpq left it"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 9000, 32_769]), st.sampled_from("dp"), st.integers(1, 40)),
        max_size=8,
    ),
    st.integers(0, 3),
    st.lists(st.integers(1, 70_000), max_size=12),
    st.integers(0, 2_000_000),
)
def test_messages_that_are_alike_come_together(
    runs: list[tuple[int, str, int]], notices: int, cuts: list[int], most: int
) -> None:
    bodies = [
        sort.encode() + bytes([place]) * (length - 1)
        for place, (length, sort, count) in enumerate(runs)
        for _ in range(count)
    ]
    sent = [message("d", body) for body in bodies]
    for number in range(notices):
        notice = said("N", "WARNING", "01000", f"words {number}")
        sent.insert(len(sent) * number // 3, notice)
    whole = b"".join([message("H", b"\0\0\0"), *sent, message("c"), READY])
    with answered(in_pieces(whole, cuts)) as (answers, notes, _):
        answers.begin_copy("reading")
        found = []
        for body in answers.copied("reading"):
            found.append((bytes(body[:1]), bytes(body[1:])))
            while more := answers.copied_alike(most, "reading"):
                assert len(more) <= most
                found.append((found[-1][0], more))
        answers.settle("reading")
    for sort in (b"d", b"p"):
        assert b"".join(more for kind, more in found if kind == sort) == b"".join(
            body[1:] for body in bodies if body[:1] == sort
        )
    assert len(notes) == notices


def test_a_connection_that_closes_among_messages_that_are_alike_is_noticed() -> None:
    alike = message("d", b"d" * 32_769)
    pieces = [message("H", b"\0\0\0"), alike * 20, alike[:100]]
    with answered(pieces, then_close=True) as (answers, _, _):
        answers.begin_copy("reading")
        messages = answers.copied("reading")

        def read_on() -> None:
            for _ in messages:
                while answers.copied_alike(1 << 20, "reading"):
                    continue

        with pytest.raises(SourceStopped, match="the connection closed"):
            read_on()


def test_what_was_given_out_stays_as_it_was() -> None:
    bodies = [bytes([number]) * 32769 for number in range(40)]
    pieces = [message("H", b"\0\0\0"), *(message("d", body) for body in bodies), message("c")]
    with answered(pieces) as (answers, _, _):
        answers.begin_copy("reading")
        assert [bytes(one) for one in list(answers.copied("reading"))] == bodies


def test_after_a_refusal_the_connection_is_used_again() -> None:
    refusal = said("E", "ERROR", "42501", "permission denied")
    with answered([refusal, READY]) as (answers, _, ours):
        with pytest.raises(SourceRefused, match="permission denied"):
            answers.next_rows("asking")
        assert not ours.getblocking()


def test_a_failure_within_a_copy_is_told_as_the_server_tells_it() -> None:
    pieces = [
        message("H", b"\0\0\0") + message("d", b"x" * 10),
        said("E", "FATAL", "57P01", "terminating connection"),
    ]
    with answered(pieces, then_close=True) as (answers, _, _):
        answers.begin_copy("reading")
        with pytest.raises(SourceStopped, match="terminating connection"):
            list(answers.copied("reading"))


@pytest.mark.parametrize("cut", [0, 3, 12])
def test_a_connection_that_closes_is_noticed(cut: int) -> None:
    pieces = [message("H", b"\0\0\0"), message("d", b"x" * 10)[:cut]]
    with answered(pieces, then_close=True) as (answers, _, _):
        answers.begin_copy("reading")
        with pytest.raises(SourceStopped, match="the connection closed"):
            list(answers.copied("reading"))


def test_a_connection_that_is_gone_takes_no_command() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(SourceStopped, match="sending a command"):
        PlainAnswers(ours.fileno(), "COMMAND", lambda: None, lambda *_: None)


def test_who_waits_is_watched_and_gives_up() -> None:
    looks: list[int] = []
    with answered([], watch=lambda: looks.append(1)) as (answers, _, _):
        with pytest.raises(SourceStopped, match="was silent for 1 seconds while asking"):
            answers.next_rows("asking", 1)
        assert looks


@pytest.mark.parametrize("take", ["next_rows", "begin_copy"])
def test_an_answer_to_something_else_is_none(take: str) -> None:
    with (
        answered([message("d", b"x")]) as (answers, _, _),
        pytest.raises(SourceStopped, match="out of order"),
    ):
        getattr(answers, take)("asking")


def test_rows_within_a_copy_are_out_of_order() -> None:
    with answered([message("H", b"\0\0\0") + row(b"x")]) as (answers, _, _):
        answers.begin_copy("reading")
        with pytest.raises(SourceStopped, match="out of order"):
            list(answers.copied("reading"))


@pytest.mark.parametrize("length", [0, 3, (64 << 20) + 1, 0xFFFFFFFF])
def test_a_length_that_no_message_has_is_refused(length: int) -> None:
    with pytest.raises(Corrupt):
        whole_size(length)
    with (
        answered([b"d" + struct.pack(">I", length) + bytes(100)]) as (answers, _, _),
        pytest.raises(Corrupt),
    ):
        answers.begin_copy("reading")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_row_or_refused(body: bytes) -> None:
    try:
        found = data_row(memoryview(body))
    except Corrupt:
        return
    assert sum(map(len, found)) <= len(body)
    assert len(found) == int.from_bytes(body[:2], "big")


@given(st.binary(max_size=60))
def test_any_bytes_are_fields(body: bytes) -> None:
    assert all(len(letter) == 1 for letter in error_fields(memoryview(body)))
