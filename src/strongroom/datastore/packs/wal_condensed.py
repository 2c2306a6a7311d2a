"""Log without what can be computed from the rest of it.

Each record states where the one before it begins, and its own CRC-32C: twelve bytes that no
compressor can foresee, of small records a third of what is stored. `condense` leaves them out
where they are what they must be, `expand_into` computes them again; what does not fit stays.

    u64 start · u32 length · u32 segment size · 32 bytes BLAKE3, all of the log · u32 stretches
    stretches   u32 offset of the first record · u32 records · u64 position of the record before
    the log, without bytes 8 to 15 (xl_prev) and 20 to 23 (xl_crc) of each record in a stretch
    whose header lies in one page

Our integers are big endian; the server's, little endian, stay so.
Source: PostgreSQL src/include/access/xlogrecord.h, xlog_internal.h; the order in which a record's
CRC takes its bytes: src/backend/access/transam/xloginsert.c, XLogRecordAssemble.
"""

import struct
from dataclasses import dataclass, field

from blake3 import blake3
from google_crc32c import extend

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE

_SHORT, _LONG = 24, 40  # bytes of a page's header; long at the start of a segment
_HEADER = 24  # bytes of a record's header
_LEFT_OUT = 12  # of them
_HEAD = struct.Struct(">QII32sI")
_STRETCH = struct.Struct(">IIQ")
_record = struct.Struct("<I4xQ4xI").unpack_from  # xl_tot_len, xl_prev, xl_crc
_number = struct.Struct("<I").unpack_from


def condense(log: bytes, start: int, segment_size: int) -> bytes:
    """A range of log that begins at `start`, of a server with segments of so many bytes."""
    found = _Condenser(log, _Place(start, segment_size))
    found.run()
    digest = blake3(log).digest()
    head = _HEAD.pack(start, len(log), segment_size, digest, len(found.stretches))
    table = (_STRETCH.pack(*each) for each in found.stretches)
    return b"".join([head, *table, found.kept, memoryview(log)[found.done :]])


def expand_into(room: memoryview, condensed: bytes) -> tuple[int, int]:
    """(start, length) of the log, which lies at the beginning of `room` then. Raises Corrupt."""
    try:
        start, length, segment_size, digest, count = _HEAD.unpack_from(condensed)
        table = _HEAD.size + count * _STRETCH.size
        if length > len(room) or not segment_size:
            raise Corrupt(f"condensed log states impossible sizes: {length}, {segment_size}")
        filler = _Filler(condensed, room[:length], _Place(start, segment_size), table)
        for stretch in _STRETCH.iter_unpack(condensed[_HEAD.size : table]):
            filler.fill(*stretch)
        filler.copy_to(length)
    except (struct.error, ValueError) as error:
        raise Corrupt("condensed log does not fit together") from error
    if length + filler.shift != len(condensed) or blake3(room[:length]).digest() != digest:
        raise Corrupt("condensed log gives other log than it was made of")
    return start, length


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the bytes of a range lie; `at` and `end` are offsets in it."""

    start: int
    segment_size: int

    def end_of_page(self, at: int) -> int:
        """Of the page in which the byte at `at` lies."""
        return at + PAGE - (self.start + at) % PAGE

    def after_header(self, at: int) -> int:
        """Of the page that begins at `at`."""
        return at + (_SHORT if (self.start + at) % self.segment_size else _LONG)

    def pieces(self, at: int, total: int) -> list[tuple[int, int]]:
        """[(begin, end)] of a record's bytes, one for each page."""
        found = []
        end = self.end_of_page(at)
        while end < at + total:
            found.append((at, end))
            total -= end - at
            at = self.after_header(end)
            end += PAGE
        found.append((at, at + total))
        return found

    def aligned(self, at: int) -> int:
        """Where the next record may begin."""
        return at + -(self.start + at) % 8

    def first_of_page(self, log: bytes, at: int) -> int:
        """Where the first record begins that begins in the page at `at`, or in one of the next."""
        while at + _SHORT <= len(log):
            rest: int = _number(log, at + 16)[0]  # of a record that began before the page
            begin = self.after_header(at) + (rest + 7) // 8 * 8
            at = self.end_of_page(at)
            if begin <= at:
                return begin
        return len(log)


@dataclass(slots=True)
class _Condenser:
    """`kept`: what stays of the first `done` bytes. A stretch has `records` and ends where `over`.

    last: position of the record before, as far as it is known.
    """

    log: bytes
    place: _Place
    stretches: list[tuple[int, int, int]] = field(default_factory=list)
    kept: bytearray = field(default_factory=bytearray)
    done: int = 0
    first: tuple[int, int] = (0, 0)  # its offset, and the position of the record before
    records: int = 0
    last: int = 0
    over: bool = False

    def run(self) -> None:
        """Over all of it; where records do not follow each other, on with the next page."""
        place = self.place
        at = place.aligned(0)
        if (place.start + at) % PAGE == 0:
            at = place.first_of_page(self.log, at)
        while at < len(self.log):
            self.records, self.over = 0, False
            while not self.over:
                at = self._across(self._within(at))
            if self.records:
                self.stretches.append((self.first[0], self.records, self.first[1]))
            at = place.first_of_page(self.log, place.end_of_page(at))

    def _within(self, at: int) -> int:
        """Over the records that lie in one page -> where they end."""
        log, start, kept = self.log, self.place.start, self.kept
        if (start + at) % PAGE == 0:
            at = self.place.after_header(at)
        end_of_page = min(self.place.end_of_page(at), len(log))
        done, records, last = self.done, self.records, self.last
        while at + _HEADER <= end_of_page:
            total, before, crc = _record(log, at)
            end = at + total
            if total < _HEADER or end > end_of_page:
                break
            known = before == last or not records
            if not known or extend(extend(0, log[at + _HEADER : end]), log[at : at + 20]) != crc:
                self.over = True
                break
            if not records:
                self.first = at, before
            kept += log[done : at + 8]
            kept += log[at + 16 : at + 20]
            done, last = at + _HEADER, start + at
            records += 1
            at = end + -(start + end) % 8
        self.done, self.records, self.last = done, records, last
        return at

    def _across(self, at: int) -> int:
        """Over a record that goes on in the next page -> where it ends, or the stretch does."""
        log, place = self.log, self.place
        if self.over or at + _HEADER > len(log):
            self.over = True
            return at
        if (place.start + at) % PAGE == 0:
            return at
        total, before, crc = _record(log, at)
        (_, split), *others = place.pieces(at, min(total, len(log)))
        if total < _HEADER or not others or others[-1][1] > len(log):
            self.over = True
            return at
        if split - at >= _HEADER:
            known = before == self.last or not self.records
            parts = [(at + _HEADER, split), *others, (at, at + 20)]
            if not known or _crc(log, parts) != crc:
                self.over = True
                return at
            self._leave_out(at, before)
        elif self.records:
            self.records += 1
        self.last = place.start + at
        return place.aligned(others[-1][1])

    def _leave_out(self, at: int, before: int) -> None:
        if not self.records:
            self.first = at, before
        self.kept += self.log[self.done : at + 8]
        self.kept += self.log[at + 16 : at + 20]
        self.done = at + _HEADER
        self.records += 1


@dataclass(slots=True)
class _Filler:
    """The first `done` bytes of the log are there; what follows lies `shift` later, condensed."""

    condensed: bytes
    log: memoryview
    place: _Place
    shift: int
    done: int = 0

    def copy_to(self, end: int) -> None:
        """What lies there as it is. Raises ValueError where there is not so much."""
        self.log[self.done : end] = self.condensed[self.done + self.shift : end + self.shift]
        self.done = end

    def fill(self, at: int, records: int, before: int) -> None:
        """A stretch, which begins at `at`. Raises ValueError or struct.error where it is none."""
        while records:
            within = self._within(at, records, before)
            if within == (at, records, before) and (self.place.start + at) % PAGE:
                end = self._across(at, before)
                within = self.place.aligned(end), records - 1, self.place.start + at
            at, records, before = within

    def _within(self, at: int, records: int, before: int) -> tuple[int, int, int]:
        """The records that lie in one page -> where the next one begins, how many are left."""
        condensed, log, start, shift = self.condensed, self.log, self.place.start, self.shift
        if (start + at) % PAGE == 0:
            at = self.place.after_header(at)
        end_of_page = self.place.end_of_page(at)
        done = self.done
        while records and at + _HEADER <= end_of_page:
            lead = at + shift
            end = at + _number(condensed, lead)[0]
            if end > end_of_page:
                break
            if end < at + _HEADER:
                raise ValueError(end)
            if done != at:
                log[done:at] = condensed[done + shift : lead]
            head = condensed[lead : lead + 8] + before.to_bytes(8, "little")
            head += condensed[lead + 8 : lead + 12]
            shift -= _LEFT_OUT
            body = condensed[at + _HEADER + shift : end + shift]
            log[at:end] = head + extend(extend(0, body), head).to_bytes(4, "little") + body
            done, before = end, start + at
            at = end + -(start + end) % 8
            records -= 1
        self.done, self.shift = done, shift
        return at, records, before

    def _across(self, at: int, before: int) -> int:
        """One record that goes on in the next page -> where it ends."""
        self.copy_to(at)
        lead = at + self.shift
        pieces = self.place.pieces(at, _length(self.condensed, lead))
        split, end = pieces[0][1], pieces[-1][1]
        if split - at >= _HEADER:
            stored = self.condensed[lead : lead + _HEADER - _LEFT_OUT]
            head = stored[:8] + before.to_bytes(8, "little") + stored[8:]
            self.shift -= _LEFT_OUT
            shift = self.shift
            parts = [(a + shift, b + shift) for a, b in [(at + _HEADER, split), *pieces[1:]]]
            crc = extend(_crc(self.condensed, parts), head)
            self.log[at : at + _HEADER] = head + crc.to_bytes(4, "little")
            self.done = at + _HEADER
        self.copy_to(end)
        return end


def _crc(log: bytes, parts: list[tuple[int, int]]) -> int:
    crc = 0
    for begin, end in parts:
        crc = extend(crc, log[begin:end])
    return crc


def _length(log: bytes, at: int) -> int:
    """Of the record that begins there."""
    total: int = _number(log, at)[0]
    if total < _HEADER:
        raise ValueError(total)
    return total
