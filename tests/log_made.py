"""Write-ahead log as PostgreSQL lays it out: pages, headers, records."""

import struct

from google_crc32c import value

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


class Writer:
    """Records of any length, each as it must be: `log` from `first` on, `starts` of them in it."""

    def __init__(self, first: int, segment: int = SEGMENT) -> None:
        self.log = bytearray()
        self.starts: list[int] = []
        self._first, self._segment = first, segment
        self._last = 0  # where the record before begins

    @property
    def at(self) -> int:
        """Where the next byte goes."""
        return self._first + len(self.log)

    def writes(self, body: bytes) -> None:
        """A record of a heap's, which nobody looks into."""
        start = self.at
        if start % PAGE == 0:
            start += 24 if start % self._segment else 40
        head = struct.pack("<IIQBBxx", 24 + len(body), 700, self._last, 0, 10)
        self._lay(head + struct.pack("<I", value(body + head)) + body)
        self.log += bytes(-len(self.log) % 8)
        self._last = start
        self.starts.append(start - self._first)

    def switches(self) -> None:
        """The rest of the segment stays empty."""
        self.log += bytes(-len(self.log) % self._segment)

    def _lay(self, data: bytes) -> None:
        left = len(data)
        while left:
            if self.at % PAGE == 0:
                rest = left if left < len(data) else 0
                long = self.at % self._segment == 0
                self.log += struct.pack("<HHIQII", 0xD113, 2 * long, 1, self.at, rest, 0)
                self.log += struct.pack("<QII", 7, self._segment, PAGE) if long else b""
            part = data[len(data) - left :][: PAGE - self.at % PAGE]
            self.log += part
            left -= len(part)
