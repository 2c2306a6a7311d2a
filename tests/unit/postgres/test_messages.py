"""Messages inside COPY, and backup_label."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import Lsn
from strongroom.postgres.wire.backup_label import parse_backup_label, without_increments
from strongroom.postgres.wire.messages import (
    KeepAlive,
    ManifestBegins,
    NewArchive,
    ServerProgress,
    WalData,
    parse_backup_message,
    parse_wal_message,
    status_update,
)

LABEL = b"""START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/2000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-01-01 00:00:00 UTC
LABEL: strongroom 42
START TIMELINE: 1
"""


def test_backup_messages_of_every_kind():
    assert parse_backup_message(b"nbase.tar\0\0") == NewArchive("base.tar", "")
    assert parse_backup_message(b"n16384.tar\0/mnt/x\0") == NewArchive("16384.tar", "/mnt/x")
    assert parse_backup_message(b"m") == ManifestBegins()
    assert parse_backup_message(b"p" + struct.pack(">Q", 7)) == ServerProgress(7)
    assert parse_backup_message(b"dbytes") == memoryview(b"bytes")


@pytest.mark.parametrize("raw", [b"", b"x", b"n", b"nbase.tar", b"na\0b\0c\0", b"p123", b"mm"])
def test_malformed_backup_messages_are_corrupt(raw):
    with pytest.raises(Corrupt):
        parse_backup_message(raw)


def test_wal_messages_of_every_kind():
    message = parse_wal_message(b"w" + struct.pack(">QQQ", 5, 9, 1) + b"log")
    assert isinstance(message, WalData)
    assert (message.start, message.server_end, bytes(message.data)) == (5, 9, b"log")
    assert parse_wal_message(b"k" + struct.pack(">QQB", 9, 1, 1)) == KeepAlive(Lsn(9), True)


def test_a_status_update_has_the_form_of_the_manual():
    raw = status_update(Lsn(7), Lsn(5), 3, reply_now=True)
    assert struct.unpack(">cQQQQB", raw) == (b"r", 7, 5, 0, 3, 1)
    assert len(raw) == 34


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=64))
@example(b"w" + bytes(23))
@example(b"k")
def test_noise_is_a_message_or_corrupt(raw):
    for parse in (parse_backup_message, parse_wal_message):
        try:
            parse(raw)
        except Corrupt:
            continue


def test_a_backup_label_is_read():
    label = parse_backup_label(LABEL)
    assert (label.start, label.checkpoint, label.timeline) == (0x2000028, 0x2000060, 1)
    assert label.start_file == "000000010000000000000002"
    assert label.label == "strongroom 42"
    assert not label.from_standby
    assert not label.incremental


def test_a_standby_and_an_increment_are_told():
    more = b"INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n"
    raw = LABEL.replace(b"FROM: primary", b"FROM: standby") + more
    label = parse_backup_label(raw)
    assert label.from_standby
    assert label.incremental
    assert not parse_backup_label(without_increments(raw)).incremental
    assert without_increments(raw).replace(b"standby", b"primary") == LABEL


@pytest.mark.parametrize("line", range(7))
def test_a_label_that_lacks_what_recovery_needs_is_corrupt(line):
    lines = LABEL.splitlines(keepends=True)
    raw = b"".join(lines[:line] + lines[line + 1 :])
    if line in {0, 1, 6}:
        with pytest.raises(Corrupt):
            parse_backup_label(raw)
    else:
        assert parse_backup_label(raw).timeline == 1


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda noise: LABEL + noise))
@example(LABEL * 5000)
@example(LABEL.replace(b"TIMELINE: 1", b"TIMELINE: x"))
@example(LABEL.replace(b"0/2000060", b"zz"))
def test_noise_is_a_label_or_corrupt(raw):
    try:
        parse_backup_label(raw)
    except Corrupt:
        return
