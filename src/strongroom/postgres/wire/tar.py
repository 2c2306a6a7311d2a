"""The tar streams of BASE_BACKUP, read as they arrive.

Source: POSIX ustar; PostgreSQL src/port/tar.c (no pax headers; base-256 sizes beyond 8 GiB; names
longer than 99 bytes are refused by the server itself). Servers before 15 send no end-of-archive
blocks, later ones two blocks of zeros: both are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.model.errors import Corrupt

BLOCK = 512
_ZEROS = bytes(BLOCK)
MOST_FILE_BYTES = 1 << 46


@dataclass(frozen=True, slots=True)
class Member:
    """A header: `kind` is file | directory | link."""

    name: str
    size: int  # bytes that follow
    mode: int
    mtime: int  # seconds since 1970
    kind: str
    target: str  # of a link


class TarReader:
    """Feed chunks of any size; take `Member`s and the bytes of files.

    Data comes out as memoryviews of the chunks that went in: no copy.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0  # bytes of the current file still to come
        self._padding = 0
        self._ended = False

    def feed(self, chunk: bytes | memoryview) -> Iterator[Member | memoryview]:
        """Events of one chunk, in order. A file of no bytes has no data event."""
        view = memoryview(chunk)
        position, end = 0, len(view)
        while position < end:
            if self._left:
                taken = min(self._left, end - position)
                yield view[position : position + taken]
                self._left -= taken
                position += taken
            elif self._padding:
                taken = min(self._padding, end - position)
                self._padding -= taken
                position += taken
            else:
                taken = min(BLOCK - len(self._header), end - position)
                self._header += view[position : position + taken]
                position += taken
                if len(self._header) == BLOCK:
                    member = self._take_header()
                    if member is not None:
                        yield member

    def finish(self) -> None:
        """The stream is over: Corrupt when it stops inside a member."""
        if self._left or self._padding or self._header:
            raise Corrupt("the backup stream stops inside a file")

    def _take_header(self) -> Member | None:
        block = bytes(self._header)
        self._header.clear()
        if block == _ZEROS:
            self._ended = True
            return None
        if self._ended:
            raise Corrupt("the backup stream goes on after its end")
        member = parse_header(block)
        self._left = member.size
        self._padding = -member.size % BLOCK
        return member


def parse_header(block: bytes) -> Member:
    """One 512-byte ustar header."""
    stated = _number(block[148:156])
    if sum(block) - sum(block[148:156]) + 8 * 0x20 != stated:
        raise Corrupt("a tar header in the backup stream has a wrong checksum")
    name = _text(block[0:100])
    prefix = _text(block[345:500]) if block[257:262] == b"ustar" else ""
    kinds = {b"0": "file", b"\0": "file", b"5": "directory", b"2": "link"}
    kind = kinds.get(block[156:157])
    if kind is None:
        raise Corrupt(f"a tar member of unknown type {block[156:157]!r} in the backup stream")
    size = _number(block[124:136])
    if size > MOST_FILE_BYTES or (kind != "file" and size):
        raise Corrupt(f"a tar member states an impossible size: {size}")
    full = (f"{prefix}/{name}" if prefix else name).removeprefix("./")
    if not full:
        raise Corrupt("a tar member without a name in the backup stream")
    return Member(
        name=full if kind == "file" else full.rstrip("/"),
        size=size,
        mode=_number(block[100:108]) & 0o7777,
        mtime=_number(block[136:148]),
        kind=kind,
        target=_text(block[157:257]) if kind == "link" else "",
    )


def _text(field: bytes) -> str:
    try:
        return field.split(b"\0", 1)[0].decode()
    except UnicodeDecodeError as error:
        raise Corrupt("a tar member's name is not UTF-8") from error


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base-256, big endian
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise Corrupt("a tar header in the backup stream holds no octal number")
    return int(digits, 8)
