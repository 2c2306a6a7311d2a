"""The tar streams of BASE_BACKUP, read as they arrive.

Sources: POSIX ustar and pax; GNU tar manual, "Basic Tar Format"; PostgreSQL src/port/tar.c, which
writes plain ustar headers, base-256 sizes beyond 8 GiB and, before version 15, no blocks at the
end. Long names (ustar prefix, GNU `L` and `K`, pax `x`) are read as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from strongroom.model.errors import Corrupt

BLOCK = 512
MOST_FILE_BYTES = 1 << 46
MOST_NAME_BYTES = 64 << 10  # of a long name or a pax header: they are held in memory
_ZEROS = bytes(BLOCK)

MemberKind = Literal["file", "directory", "link"]
_KINDS: dict[bytes, MemberKind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"5": "directory",
    b"2": "link",
}
_EXTENSIONS = (b"L", b"K", b"x", b"g")


@dataclass(frozen=True, slots=True)
class Member:
    """A header. Names that are not UTF-8 keep their bytes as surrogates (PEP 383)."""

    name: str
    size: int  # bytes that follow
    mode: int
    mtime: int  # seconds since 1970
    kind: MemberKind
    target: str  # of a link


class TarReader:
    """Feed chunks of any size; take `Member`s and the bytes of files.

    Data comes out as memoryviews of the chunks that went in: no copy.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0  # bytes of the current member still to come
        self._padding = 0
        self._extension: bytearray | None = None  # a long name or pax header that is being read
        self._extension_kind = b""
        self._overrides: dict[str, str] = {}  # for the next member: path, linkpath, size
        self._zero_blocks = 0

    @property
    def before_end(self) -> int:
        """Bytes of the current file that are still to come, but for the last one."""
        return max(0, self._left - 1) if self._extension is None else 0

    def inside(self, length: int) -> bool:
        """Whether a chunk of `length` lies within one file that goes on after it.

        If so it counts as fed, and all of it is the file's: what most chunks are costs no more.
        """
        if self._extension is not None or self._left <= length:
            return False
        self._left -= length
        return True

    def feed(self, chunk: bytes | memoryview) -> Iterator[Member | memoryview]:
        """Events of one chunk, in order. A file of no bytes has no data event."""
        view = memoryview(chunk)
        position, end = 0, len(view)
        while position < end:
            if self._left:
                taken = min(self._left, end - position)
                piece = view[position : position + taken]
                self._left -= taken
                if self._extension is None:
                    yield piece
                else:
                    self._extension += piece
            elif self._padding:
                taken = min(self._padding, end - position)
                self._padding -= taken
            else:
                taken = min(BLOCK - len(self._header), end - position)
                self._header += view[position : position + taken]
                if len(self._header) == BLOCK:
                    yield from self._take_header()
            position += taken

    def finish(self) -> None:
        """The stream is over: Corrupt inside a member. The end mark itself may be absent."""
        unfinished = self._left or self._padding or self._header or self._overrides
        if unfinished or self._extension is not None:
            raise Corrupt("the backup stream stops inside a file")

    def _take_header(self) -> Iterator[Member]:
        block = bytes(self._header)
        self._header.clear()
        if self._extension is not None:
            self._take_extension()
        if block == _ZEROS:
            self._zero_blocks += 1
            return
        if self._zero_blocks:
            raise Corrupt("the backup stream goes on after its end")
        kind = block[156:157]
        _check_sum(block)
        size = _number(block[124:136])
        if kind in _EXTENSIONS:
            self._begin_extension(kind, size)
        else:
            member = _override(_member(block, size), self._overrides)
            self._overrides = {}
            _check_size(member)
            self._left, self._padding = member.size, -member.size % BLOCK
            yield member

    def _begin_extension(self, kind: bytes, size: int) -> None:
        if size > MOST_NAME_BYTES:
            raise Corrupt(f"a name of {size} bytes in the backup stream")
        self._extension, self._extension_kind = bytearray(), kind
        self._left, self._padding = size, -size % BLOCK

    def _take_extension(self) -> None:
        raw, kind = bytes(self._extension or b""), self._extension_kind
        self._extension = None
        if kind == b"L":
            self._overrides["path"] = _text(raw)
        elif kind == b"K":
            self._overrides["linkpath"] = _text(raw)
        elif kind == b"x":
            self._overrides |= parse_pax(raw)


def parse_pax(raw: bytes) -> dict[str, str]:
    """Records `length key=value newline` -> path, linkpath and size, where given."""
    found: dict[str, str] = {}
    position = 0
    while position < len(raw):
        space = raw.find(b" ", position, position + 8)
        digits = raw[position:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        record = raw[space + 1 : position + length]
        key, separator, value = record[:-1].partition(b"=")
        if length > len(raw) - position or not separator or record[-1:] != b"\n":
            raise Corrupt("a pax header in the backup stream cannot be read")
        if key in {b"path", b"linkpath", b"size"}:
            found[key.decode()] = _text(value)
        position += length
    return found


def _override(member: Member, overrides: dict[str, str]) -> Member:
    name = overrides.get("path", member.name)
    target = overrides.get("linkpath", member.target) if member.kind == "link" else ""
    size = member.size
    if "size" in overrides:
        if not overrides["size"].isascii() or not overrides["size"].isdigit():
            raise Corrupt("a pax size in the backup stream is no number")
        size = int(overrides["size"][:20])
    if member.kind != "file":  # PostgreSQL ends the names of links with a slash as well
        name = name.rstrip("/")
    if not name or (member.kind == "link" and not target):
        raise Corrupt("a tar member without a name in the backup stream")
    return replace(member, name=name, size=size, target=target)


def _member(block: bytes, size: int) -> Member:
    kind = _KINDS.get(block[156:157])
    if kind is None:
        raise Corrupt(f"a tar member of unknown type {block[156:157]!r} in the backup stream")
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    name = _text(block[0:100])
    return Member(
        name=f"{prefix}/{name}" if prefix else name,
        size=size,
        mode=_number(block[100:108]) & 0o7777,
        mtime=_number(block[136:148]),
        kind=kind,
        target=_text(block[157:257]),
    )


def _check_size(member: Member) -> None:
    if member.size > MOST_FILE_BYTES or (member.kind != "file" and member.size):
        raise Corrupt(f"a tar member states an impossible size: {member.size}")


def _check_sum(block: bytes) -> None:
    stated = _number(block[148:156])
    if sum(block) - sum(block[148:156]) + 8 * 0x20 != stated:
        raise Corrupt("a tar header in the backup stream has a wrong checksum")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base-256, big endian
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise Corrupt("a tar header in the backup stream holds no octal number")
    return int(digits, 8)
