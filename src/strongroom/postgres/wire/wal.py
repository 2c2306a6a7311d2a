"""Records of the write-ahead log as they go by: commits, rows deleted, relations gone.

Sans-IO: bytes are fed in the order of their positions; pages are taken apart, records walked by
their lengths, and only those of a few kinds looked into. Nothing here decides what is kept: a
record that makes no sense is passed over to the next page.
Source: PostgreSQL src/include/access/xlogrecord.h, xlog_internal.h, xact.h, heapam_xlog.h.
"""

import struct
from bisect import bisect_right
from dataclasses import dataclass, field

from strongroom.model.postgres import Lsn, major_of
from strongroom.model.wal import MOST_UNENDED

PAGE = 8192
_SHORT, _LONG = 24, 40  # bytes of a page's header; long at the start of a segment
_HEADER = 24  # bytes of a record's header
_MOST_RECORD = 1 << 30
_XLOG, _XACT, _HEAP = 0, 1, 10  # resource managers
_SWITCH, _PARAMETERS, _RESTORE_POINT = 0x40, 0x60, 0x70
_WAL_LEVEL = 20  # in xl_parameter_change, after five numbers; 0: minimal
_COMMIT, _ABORT, _COMMIT_PREPARED, _ABORT_PREPARED = 0x00, 0x20, 0x30, 0x40
_DELETE, _TRUNCATE = 0x10, 0x30
_NO_LOSS = 0x08 | 0x10  # of a delete: an insert taken back, a row moved to another part
_FLAGS_OF_DELETE = 7  # after its transaction, place and bits
_HAS_INFO = 0x80
_HAS_IMAGE = 0x10
_ORIGIN, _TOPLEVEL, _SHORT_DATA, _LONG_DATA = 253, 252, 255, 254
_EPOCH_2000 = 946_684_800_000_000  # microseconds from 1970 to 2000
_FIRST_OF_PEOPLE = 16384  # file numbers below are PostgreSQL's own catalogues
_MOST_OPEN = 100_000  # transactions whose deletes are remembered

_length = struct.Struct("<I").unpack_from
_relation = struct.Struct("<III").unpack_from


@dataclass(slots=True)
class Commit:
    """A transaction that took effect. `start`: of its record; `at`: microseconds since 1970.

    below: its subtransactions that took effect with it.
    """

    start: Lsn
    at: int
    xid: int
    deleted: dict[str, int] = field(default_factory=dict)  # "database/file" -> rows
    gone: list[str] = field(default_factory=list)
    below: tuple[int, ...] = ()


@dataclass(slots=True)
class Abort:
    """A transaction that took none, subtransactions and all. `start`: of its record."""

    start: Lsn
    xid: int
    below: tuple[int, ...] = ()


@dataclass(slots=True)
class Named:
    """A restore point."""

    end: Lsn
    at: int
    name: str


@dataclass(slots=True)
class Minimal:
    """From here on the server wrote too little for anybody to recover through."""

    start: Lsn


Event = Commit | Abort | Named | Minimal
Deletes = dict[int, dict[str, int]]  # transaction -> "database/file" -> rows
NOWHERE = Lsn(0)


def begins_at(event: Event) -> Lsn:
    """Where its record begins; of a restore point where it ends."""
    return event.end if isinstance(event, Named) else event.start


class WalReader:
    """Feed it; take `events`. `position` is the end of the last whole record."""

    def __init__(
        self,
        start: Lsn,
        segment_size: int,
        version_number: int,
        *,
        unended: Deletes | None = None,
        counted: Lsn = NOWHERE,
    ) -> None:
        """`start`: of a segment, or of a record. `unended`: what another reader has left so.

        counted: deletes before it are in that already.
        """
        self._fed = start
        self._segment_size = segment_size
        self._major = major_of(version_number)
        self._buffer = bytearray()  # without the headers of pages, from a record's start
        self._pages: list[tuple[int, int]] = [(0, start)]  # offset in the buffer -> position
        self._offset = 0  # of the first record that is not whole
        self._held = b""  # a page's header that has not come whole
        self._skip = -start % 8  # bytes of padding, or of a record that began before us
        self._passing = False  # until the next segment, or the next page
        self._pass_page = False
        self._deleted = {xid: dict(rows) for xid, rows in (unended or {}).items()}
        self._counted = counted
        self._records = 0
        self.events: list[Event] = []

    @property
    def fed(self) -> Lsn:
        """Where the next bytes belong."""
        return Lsn(self._fed + len(self._held))

    @property
    def position(self) -> Lsn:
        """Everything before it is whole records (or what is passed over)."""
        return min(self._at(self._offset), Lsn(self._fed))

    def unended(self) -> Deletes:
        """Rows that were deleted by transactions that have not ended, a prepared one's too.

        Of those with the most rows, and of their tables with the most, where there are many.
        """
        left, found = MOST_UNENDED, Deletes()
        most = sorted(self._deleted.items(), key=lambda each: -sum(each[1].values()))
        for xid, rows in most[:left]:
            found[xid] = dict(sorted(rows.items(), key=lambda each: -each[1])[:left])
            left -= len(found[xid])
            if not left:
                break
        return found

    def take(self) -> list[Event]:
        """The events so far, once."""
        events, self.events = self.events, []
        return events

    def take_count(self) -> int:
        """How many records went by, once."""
        records, self._records = self._records, 0
        return records

    def feed(self, data: bytes | memoryview) -> None:
        """The next bytes of the log."""
        raw = memoryview(self._held + bytes(data)) if self._held else memoryview(data)
        self._held = b""
        while len(raw):
            left = self._segment_size - self._fed % self._segment_size
            piece, raw = raw[:left], raw[left:]
            self._take_apart(piece)
            self._walk()

    def _take_apart(self, raw: memoryview) -> None:
        """Pages of one segment into the buffer, without their headers."""
        while len(raw):
            within = self._fed % PAGE
            if within == 0:
                size = _SHORT if self._fed % self._segment_size else _LONG
                if len(raw) < size:
                    self._held = bytes(raw)
                    return
                self._page(raw, size)
                self._fed, raw, within = Lsn(self._fed + size), raw[size:], size
                self._pages.append((len(self._buffer), self._fed))
            body, raw = raw[: PAGE - within], raw[PAGE - within :]
            self._fed = Lsn(self._fed + len(body))
            if self._skip:
                skipped = min(self._skip, len(body))
                self._skip -= skipped
                body = body[skipped:]
                self._pages.append((len(self._buffer), self._fed - len(body)))
            if not self._passing and not self._pass_page:
                self._buffer += body
            else:
                self._pages = [(0, self._fed)]

    def _page(self, raw: memoryview, size: int) -> None:
        rest = int.from_bytes(raw[16:20], "little")  # of a record that began before the page
        if self._passing and size != _LONG:
            return
        self._walk()
        if self._offset < len(self._buffer) and rest:
            return
        del self._buffer[self._offset :]  # given up by the server: a crash, or another timeline
        self._passing = self._pass_page = False
        self._skip = -(-rest // 8) * 8

    def _walk(self) -> None:
        """Over every whole record in the buffer."""
        buffer, offset, records = self._buffer, self._offset, 0
        size = len(buffer)
        while size - offset >= _HEADER:
            total = _length(buffer, offset)[0]
            if not _HEADER <= total <= _MOST_RECORD:
                self._lose()
                return
            end = offset + total
            if end > size:
                break
            manager, info = buffer[offset + 17], buffer[offset + 16]
            if manager == _HEAP:
                if info & 0x70 in {_DELETE, _TRUNCATE}:
                    self._note_delete(offset, end)
            elif manager == _XACT:
                self._note_end(offset, total)
            elif manager == _XLOG and self._note_other(offset, total):
                return
            offset = (end + 7) & ~7
            records += 1
        self._offset = offset
        self._records += records
        if offset > 1 << 20:
            self._forget(offset)

    def _lose(self) -> None:
        """What stands there is no record: go on with the next page."""
        self._drop()
        self._pass_page = True

    def _drop(self) -> None:
        self._buffer.clear()
        self._offset = 0
        self._pages = [(0, self._fed)]

    def _forget(self, offset: int) -> None:
        """Let go of what was walked over."""
        kept = min(offset, len(self._buffer))
        position = self._at(kept)
        del self._buffer[:kept]
        later = [(at - kept, lsn) for at, lsn in self._pages if at > kept]
        self._pages = [(0, position), *later]
        self._offset = offset - kept

    def _at(self, offset: int) -> Lsn:
        """Where a byte of the buffer lies in the log."""
        known = self._pages[bisect_right(self._pages, (offset, 1 << 64)) - 1]
        return Lsn(known[1] + offset - known[0])

    # -- records

    def _note_other(self, offset: int, total: int) -> bool:
        """Whether the rest of the segment is passed over."""
        info = self._buffer[offset + 16] & 0xF0
        if info == _SWITCH:
            self._drop()
            self._passing = self._fed % self._segment_size != 0
            return True
        if info == _PARAMETERS:
            level = self._body(offset, total)[_WAL_LEVEL : _WAL_LEVEL + 4]
            if len(level) == 4 and not any(level):
                self.events.append(Minimal(self._at(offset)))
        if info == _RESTORE_POINT:
            body = self._body(offset, total)
            at, name = int.from_bytes(body[:8], "little", signed=True), bytes(body[8:72])
            words = name.split(b"\0")[0].decode(errors="replace")
            end = self._at(offset + total)
            self.events.append(Named(end, at + _EPOCH_2000, words))
        return False

    def _body(self, offset: int, total: int) -> memoryview:
        """The main data of a record that names no blocks."""
        buffer, at, end = self._buffer, offset + _HEADER, offset + total
        while at < end:
            kind = buffer[at]
            if kind == _ORIGIN:
                at += 3
            elif kind == _TOPLEVEL:
                at += 5
            elif kind == _SHORT_DATA:
                return memoryview(bytes(buffer[at + 2 : at + 2 + buffer[at + 1]]))
            elif kind == _LONG_DATA:
                return memoryview(bytes(buffer[at + 5 : end]))
            else:
                break
        return memoryview(b"")

    def _note_delete(self, offset: int, end: int) -> None:
        at = offset + _HEADER
        if self._buffer[at] != 0:
            return
        if self._buffer[at + 1] & _HAS_IMAGE:
            flags = self._buffer[at + 8]
            packed = 0x02 if self._major < 15 else 0x1C
            at += 7 if flags & 1 and flags & packed else 5
        _, database, file = _relation(self._buffer, at + 4)
        if file < _FIRST_OF_PEOPLE or self._is_no_loss(at + 20, end):
            return
        if self._counted:
            if self._at(offset) < self._counted:
                return
            self._counted = NOWHERE
        xid = _length(self._buffer, offset + 4)[0]
        if len(self._deleted) < _MOST_OPEN or xid in self._deleted:
            rows = self._deleted.setdefault(xid, {})
            key = f"{database}/{file}"
            rows[key] = rows.get(key, 0) + 1

    def _is_no_loss(self, at: int, end: int) -> bool:
        """Of a delete whose last header begins at `at`: whether the row is there nevertheless."""
        buffer = self._buffer
        while at < end and buffer[at] in {_ORIGIN, _TOPLEVEL}:
            at += 3 if buffer[at] == _ORIGIN else 5
        if at + 5 > end:
            return False
        length = buffer[at + 1] if buffer[at] == _SHORT_DATA else _length(buffer, at + 1)[0]
        flags = end - length + _FLAGS_OF_DELETE  # the main data comes last
        return at < flags < end and bool(buffer[flags] & _NO_LOSS)

    def _note_end(self, offset: int, total: int) -> None:
        info = self._buffer[offset + 16]
        kind = info & 0x70
        if kind not in {_COMMIT, _COMMIT_PREPARED, _ABORT, _ABORT_PREPARED}:
            return
        body = self._body(offset, total)
        if len(body) < 8:
            return
        at = int.from_bytes(body[:8], "little", signed=True) + _EPOCH_2000
        told = _ended(body, self._major) if info & _HAS_INFO else _Ended()
        xid = told.xid or _length(self._buffer, offset + 4)[0]
        deleted: dict[str, int] = {}
        for each in (xid, *told.below):
            for key, rows in self._deleted.pop(each, {}).items():
                deleted[key] = deleted.get(key, 0) + rows
        if kind in {_COMMIT, _COMMIT_PREPARED}:
            commit = Commit(self._at(offset), at, xid, deleted, told.gone, told.below)
            self.events.append(commit)
        else:
            self.events.append(Abort(self._at(offset), xid, told.below))


@dataclass(slots=True)
class _Ended:
    below: tuple[int, ...] = ()  # subtransactions
    gone: list[str] = field(default_factory=list)
    xid: int = 0  # of a prepared transaction


def _ended(body: memoryview, major: int) -> _Ended:
    """What a commit or an abort says beside its time; as much of it as can be read."""
    found = _Ended()
    try:
        (what,) = _length(body, 8)
        at = 12 + (8 if what & 1 else 0)
        if what & 2:
            count = _count(body, at)
            found.below = struct.unpack_from(f"<{count}I", body, at + 4)
            at += 4 + 4 * count
        if what & 4:
            count = _count(body, at)
            for each in range(count):
                _, database, file = _relation(body, at + 4 + 12 * each)
                found.gone.append(f"{database}/{file}")
            at += 4 + 12 * count
        if what & 256:
            at += 4 + (16 if major >= 18 else 12) * _count(body, at)
        if what & 8:
            at += 4 + 16 * _count(body, at)
        if what & 16:
            (found.xid,) = _length(body, at)
    except (struct.error, ValueError):
        return found
    return found


def _count(body: memoryview, at: int) -> int:
    (count,) = _length(body, at)
    if count > len(body):
        raise ValueError("a list longer than its record")
    return int(count)
