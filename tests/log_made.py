"""Write-ahead log as PostgreSQL lays it out, with commits alone in it: pages, headers, records."""

import struct

SEGMENT = 16 << 20
PAGE = 8192
EPOCH_2000 = 946_684_800_000_000  # microseconds from 1970 to 2000
RECORD = 40  # bytes of a commit, with what pads it


def commit(xid: int, at: int) -> bytes:
    """A record of a transaction's end; `at`: microseconds since 1970."""
    head = struct.pack("<IIQBBxxI", 34, xid, 0, 0, 1, 0)
    return (head + struct.pack("<BBq", 255, 8, at - EPOCH_2000)).ljust(RECORD, b"\0")


def deletion(xid: int, database: int, file: int) -> bytes:
    """A record of a row that was deleted; as long as two others."""
    head = struct.pack("<IIQBBxxI", 74, xid, 0, 0x10, 10, 0)
    block = struct.pack("<BBHIIII", 0, 0, 0, 1663, database, file, 0)
    return (head + block + bytes([255, 28])).ljust(2 * RECORD, b"\0")


def log_of(system: int, first: int, commits: list[bytes], timeline: int = 1) -> bytes:
    """From the start of a segment, `first`, as far as the records go."""
    stream, out = b"".join(commits), bytearray()
    at = 0
    while at < len(stream):
        address = first + len(out)
        long = address % SEGMENT == 0
        rest = RECORD - 6 - at % RECORD if at % RECORD else 0
        out += struct.pack("<HHIQII", 0xD110, 2 if long else 0, timeline, address, rest, 0)
        out += struct.pack("<QII", system, SEGMENT, PAGE) if long else b""
        body = PAGE - (40 if long else 24)
        out += stream[at : at + body]
        at += body
    return bytes(out)


def cut(log: bytes, records: int, first: int) -> int:
    """Where in the log so many records end; `first` as above."""
    at, left = 0, records * RECORD
    while True:
        head = 40 if (first + at) % SEGMENT == 0 else 24
        if left <= PAGE - head:
            return at + head + left
        left -= PAGE - head
        at += PAGE
