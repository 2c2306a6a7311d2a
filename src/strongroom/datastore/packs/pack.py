"""A pack: a write-once object that holds a raw stream in frames, byte for byte.

    header    magic 8 · u8 suite · pack id 16 · key id 16 · u16 length · sealed content key
    frames    AES-256-GCM(zstd(raw frame)), nonce u96 frame number,
              AAD pack id || u96 frame number || u32 raw length
    digests   of the pages of the raw stream, or nothing (page_digests.py)
    table     AES-256-GCM, nonce 2^95, AAD pack id || u32 frame count:
              u32 frame size, then for each frame u32 stored length, u32 raw length
    trailer   u32 table length · magic "SRPACKED"

All integers are big endian. A frame that does not shrink is stored raw: its stored length is then
its raw length + 16. Manifests, deltas and condensed log are packs of their own kind, told apart by
the magic. docs/format.md draws it; the only key is one made for this pack, sealed in the header.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.datastore.packs.compressor import compressor_for
from strongroom.datastore.packs.seal import SUITE, KeyPair, PublicKey, open_sealed, seal
from strongroom.model.errors import Corrupt, Invalid, WrongKey
from strongroom.model.ids import KeyId, PackId
from strongroom.model.postgres import PAGE
from strongroom.model.seams import Chance

PACK = b"SRPACK01"
MANIFEST = b"SRMANI01"
DELTA = b"SRDELT01"
PAGES = b"SRPAGE01"
CONDENSED = b"SRXLOG01"
END = b"SRPACKED"
FRAME = 128 << 10
TAG = 16
DIGEST = 8  # bytes, of a page
MOST_RAW = 64 << 20  # bytes of raw stream in a pack of data
MOST_FRAMES = 1 << 20
MOST_WHOLE = 256 << 20  # bytes of raw stream in a manifest or a delta, which are read whole
MOST_FRAME = 32 << 20  # bytes of raw stream in a frame
_FIXED = struct.Struct(">8sB16s16sH")
_TRAILER = struct.Struct(">I8s")
TRAILER_SIZE = _TRAILER.size
HEADER_SIZE = _FIXED.size + 1168
FIXED_SIZE = _FIXED.size  # of a header: what it says without a key
_LIKELY_ENDING = 4 + 8 * MOST_RAW // FRAME + TAG + TRAILER_SIZE  # where frames have that size
_CUT = struct.Struct("=QQ")
_TABLE_NONCE = (1 << 95).to_bytes(12, "big")
Bytes = bytes | memoryview
Fetch = Callable[[int, int], Bytes]


def _frame_aad(pack_id: bytes, number: int, raw_length: int) -> bytes:
    return pack_id + number.to_bytes(12, "big") + raw_length.to_bytes(4, "big")


class PackKey:
    """The content key of one pack: made fresh, sealed at once, forgotten with this object."""

    def __init__(
        self,
        magic: bytes,
        pack_id: PackId,
        seal_to: PublicKey,
        chance: Chance,
        key: bytes | None = None,
    ) -> None:
        """`key`: who gives one keeps it, and has made it for this pack alone."""
        self.secret = chance.bytes(32) if key is None else key
        self.pack_id = pack_id
        fixed = _FIXED.pack(magic, SUITE, pack_id.bytes, seal_to.key_id, HEADER_SIZE - _FIXED.size)
        self.header = fixed + seal(seal_to, fixed, self.secret)
        self.aead = AESGCM(self.secret)
        self._id = pack_id.bytes

    def frames(
        self, first: int, raw: Bytes, frame_size: int, level: int
    ) -> list[tuple[bytes, int]]:
        """`raw` as frames numbered from `first`, each with its raw length; the last may be short.

        All are compressed in one call: a thread that is in it leaves the others alone.
        """
        view = memoryview(raw)
        cuts = [(at, min(frame_size, len(raw) - at)) for at in range(0, len(raw), frame_size)]
        if not cuts:
            return []
        segments = zstandard.BufferWithSegments(raw, b"".join(_CUT.pack(*cut) for cut in cuts))
        packed = compressor_for(level, frame_size).multi_compress_to_buffer(segments)
        return [
            (self._seal(number, packed[index], view[at : at + length]), length)
            for index, (number, (at, length)) in enumerate(enumerate(cuts, first))
        ]

    def _seal(self, number: int, packed: zstandard.BufferSegment, raw: memoryview) -> bytes:
        """A frame as it is stored: compressed if that helps."""
        aad = _frame_aad(self._id, number, len(raw))
        smaller = packed.tobytes() if len(packed) < len(raw) else raw
        return self.aead.encrypt(number.to_bytes(12, "big"), smaller, aad)

    def ending(self, frame_size: int, lengths: Sequence[tuple[int, int]]) -> bytes:
        """Table and trailer; `lengths` are (stored, raw) of each frame."""
        body = struct.pack(">I", frame_size) + b"".join(
            struct.pack(">II", stored, raw) for stored, raw in lengths
        )
        aad = self._id + len(lengths).to_bytes(4, "big")
        table = self.aead.encrypt(_TABLE_NONCE, body, aad)
        return table + _TRAILER.pack(len(table), END)


def digest_count(raw_size: int) -> int:
    """Pages of a raw stream, the last of which may be short."""
    return -(-raw_size // PAGE)


@dataclass(frozen=True, slots=True)
class Header:
    """What a pack says of itself without any key."""

    magic: bytes
    pack_id: PackId
    key_id: KeyId
    fixed: bytes
    sealed_key: bytes

    @property
    def size(self) -> int:
        """Bytes before the first frame."""
        return len(self.fixed) + len(self.sealed_key)


def read_header(raw: bytes, magic: bytes) -> Header:
    """The header at the start of `raw`; an unknown version is refused by name."""
    if len(raw) < HEADER_SIZE:
        raise Corrupt("a pack is shorter than its header")
    found, suite, pack_id, key_id, length = _FIXED.unpack_from(raw)
    if found[:6] == magic[:6] and found != magic:
        raise Invalid(
            f"this is format version {found[6:].decode(errors='replace')}, we read version 01",
            hint="use a newer strongroom to read it",
        )
    if found != magic:
        raise Corrupt(f"not a {magic.decode()} object")
    if suite != SUITE:
        raise Invalid(f"unknown sealing suite {suite}", hint="use a newer strongroom to read it")
    if length != HEADER_SIZE - _FIXED.size:
        raise Corrupt("a pack's header states a wrong length")
    fixed = bytes(raw[: _FIXED.size])
    sealed = bytes(raw[_FIXED.size : HEADER_SIZE])
    return Header(found, PackId(UUID(bytes=pack_id)), KeyId(key_id), fixed, sealed)


def sealed_to(start: bytes) -> KeyId:
    """The id of the key that an object of any kind is sealed to, from its first bytes."""
    if len(start) < _FIXED.size:
        raise Corrupt("a pack is shorter than its header")
    return KeyId(_FIXED.unpack_from(start)[3])


def open_content_key(header: Header, pair: KeyPair) -> bytes:
    """The pack's content key, with the private half of the key that its header names."""
    if pair.public.key_id != header.key_id:
        raise WrongKey(
            f"pack {header.pack_id} is sealed to key {header.key_id.hex()}",
            hint=f"the key given is {pair.public.key_id.hex()}; take the instance's own",
        )
    return open_sealed(pair, header.fixed, header.sealed_key)


@dataclass(frozen=True, slots=True)
class Table:
    """Where each frame lies: offsets in the object, lengths stored and raw."""

    frame_size: int
    offsets: tuple[int, ...]  # one more than frames: the last is the end of the frames
    raw_lengths: tuple[int, ...]
    digests: int  # stored length of the record of digests that follows the frames; 0: none

    @property
    def raw_size(self) -> int:
        """Bytes of the raw stream."""
        return sum(self.raw_lengths)


class OpenPack:
    """Reads the frames of one pack whose content key is known."""

    def __init__(self, pack_id: PackId, content_key: bytes) -> None:
        if len(content_key) != 32:
            raise WrongKey(f"a content key has 32 bytes, not {len(content_key)}")
        self._pack_id = pack_id
        self._id = pack_id.bytes
        self._aead = AESGCM(content_key)
        self._decompressor = zstandard.ZstdDecompressor()

    def table(self, ending: bytes | memoryview, object_size: int) -> Table:
        """From the last bytes of the object (at least table and trailer)."""
        if len(ending) < TRAILER_SIZE:
            raise Corrupt(f"pack {self._pack_id} is shorter than its trailer")
        length, magic = _TRAILER.unpack(ending[-TRAILER_SIZE:])
        count, rest = divmod(length - TAG - 4, 8)
        if magic != END or rest or not 0 <= count <= MOST_FRAMES:
            raise Corrupt(f"the trailer of pack {self._pack_id} is damaged")
        if len(ending) < length + TRAILER_SIZE:
            raise Corrupt(f"the table of pack {self._pack_id} is cut off")
        sealed = bytes(ending[-TRAILER_SIZE - length : -TRAILER_SIZE])
        body = self._decrypt(_TABLE_NONCE, sealed, self._id + count.to_bytes(4, "big"), "table")
        numbers = struct.unpack(f">I{2 * count}I", body)
        return self._checked(numbers, object_size - TRAILER_SIZE - length)

    def _checked(self, numbers: tuple[int, ...], frames_end: int) -> Table:
        frame_size, stored, raw = numbers[0], numbers[1::2], numbers[2::2]
        offsets = tuple(accumulate(stored, initial=HEADER_SIZE))
        digests = frames_end - offsets[-1]
        if digests not in {0, digest_count(sum(raw)) * DIGEST + TAG}:
            raise Corrupt(f"pack {self._pack_id} has another size than its table says")
        if not 0 < frame_size <= MOST_FRAME or any(not 0 < n <= frame_size for n in raw):
            raise Corrupt(f"the table of pack {self._pack_id} states an impossible frame")
        if any(length != frame_size for length in raw[:-1]):
            raise Corrupt(f"a frame in the middle of pack {self._pack_id} is short")
        return Table(frame_size, offsets, raw, digests)

    def frame(self, number: int, stored: bytes | memoryview, raw_length: int) -> bytes:
        """One raw frame, checked."""
        packed = self._packed(number, stored, raw_length)
        if len(packed) == raw_length:
            return packed
        with self._decompressing(number, packed, raw_length):
            return self._decompressor.decompress(packed, allow_extra_data=False)

    def frame_into(self, room: memoryview, number: int, stored: bytes | memoryview) -> None:
        """The same into memory that is there already and that it fills exactly.

        New memory for each frame costs more than to decompress it: the kernel clears every page.
        """
        packed = self._packed(number, stored, len(room))
        if len(packed) == len(room):
            room[:] = packed
            return
        with (
            self._decompressing(number, packed, len(room)),
            self._decompressor.stream_reader(packed) as reader,
        ):
            if reader.readinto(room) != len(room):
                raise Corrupt(f"frame {number} of pack {self._pack_id} is cut off")

    def _packed(self, number: int, stored: bytes | memoryview, raw_length: int) -> bytes:
        aad = _frame_aad(self._id, number, raw_length)
        return self._decrypt(number.to_bytes(12, "big"), stored, aad, f"frame {number}")

    @contextmanager
    def _decompressing(self, number: int, packed: bytes, raw_length: int) -> Iterator[None]:
        try:
            # Before a byte is made: a hostile writer may state any length.
            if zstandard.frame_content_size(packed) != raw_length:
                raise Corrupt(f"frame {number} of pack {self._pack_id} states a wrong length")
            yield
        except zstandard.ZstdError as error:
            raise Corrupt(f"frame {number} of pack {self._pack_id} does not decompress") from error

    def _decrypt(self, nonce: bytes, sealed: bytes | memoryview, aad: bytes, what: str) -> bytes:
        try:
            return self._aead.decrypt(nonce, sealed, aad)
        except InvalidTag as error:
            raise Corrupt(f"{what} of pack {self._pack_id} is not what was written") from error


class PackReader:
    """One pack of data in storage, opened from ranges: frames by number, each of them checked.

    `fetch(start, length)` gives bytes of the stored object, fewer only where it ends. Raises
    Corrupt, Invalid (another version) and WrongKey; what `fetch` raises goes through.
    """

    def __init__(
        self, fetch: Fetch, size: int, pack_id: PackId, content_key: bytes, magic: bytes = PACK
    ) -> None:
        """`size`: of the stored object, as the manifest states it."""
        self._fetch = fetch
        self._size = size
        self._pack_id = pack_id
        header = read_header(bytes(self._range(0, min(HEADER_SIZE, size))), magic)
        if header.pack_id != pack_id:
            raise Corrupt(f"under the name of pack {pack_id} lies pack {header.pack_id}")
        self._opened = OpenPack(pack_id, content_key)
        self.table = self._opened.table(self._ending(), size)
        if self.table.raw_size > MOST_RAW:
            raise Corrupt(f"pack {pack_id} states {self.table.raw_size} bytes of raw stream")

    def place(self, first: int, last: int) -> tuple[int, int]:
        """(start, length) in the object of the frames `first` to `last`, both included."""
        offsets = self.table.offsets
        return offsets[first], offsets[last + 1] - offsets[first]

    def frames(self, first: int, last: int) -> Iterator[bytes]:
        """The raw frames `first` to `last`, both included, fetched in one request."""
        for number, frame in self._stored(first, last):
            yield self._opened.frame(number, frame, self.table.raw_lengths[number])

    def frames_into(self, room: memoryview, first: int, last: int) -> memoryview:
        """The same, one after the other, at the beginning of `room` -> what of it they fill."""
        end = 0
        for number, frame in self._stored(first, last):
            begin, end = end, end + self.table.raw_lengths[number]
            self._opened.frame_into(room[begin:end], number, frame)
        return room[:end]

    def _stored(self, first: int, last: int) -> Iterator[tuple[int, memoryview]]:
        offsets = self.table.offsets
        base = offsets[first]
        stored = memoryview(self._range(*self.place(first, last)))
        for number in range(first, last + 1):
            yield number, stored[offsets[number] - base : offsets[number + 1] - base]

    def every_frame(self) -> Iterator[bytes]:
        """All raw frames, in order."""
        last = len(self.table.raw_lengths) - 1
        return self.frames(0, last) if last >= 0 else iter(())

    def _ending(self) -> Bytes:
        """Table and trailer; a second request only for a table of many frames."""
        guess = min(self._size, _LIKELY_ENDING)
        ending = self._range(self._size - guess, guess)
        length = int.from_bytes(ending[-TRAILER_SIZE : 4 - TRAILER_SIZE], "big") + TRAILER_SIZE
        if length <= guess:
            return ending
        if length > self._size:
            raise Corrupt(f"the trailer of pack {self._pack_id} is damaged")
        return self._range(self._size - length, length)

    def _range(self, start: int, length: int) -> Bytes:
        found = self._fetch(start, length)
        if len(found) != length:
            raise Corrupt(f"pack {self._pack_id} is cut off")
        return found


def pack_bytes(
    magic: bytes,
    raw: bytes,
    pack_id: PackId,
    seal_to: PublicKey,
    chance: Chance,
    *,
    key: bytes | None = None,
) -> bytes:
    """A whole small object (a manifest, a delta) at once; `key` as in PackKey."""
    if len(raw) > MOST_WHOLE:
        raise Invalid(
            f"a {magic.decode()} object of {len(raw)} bytes would be larger than any reader takes",
            hint="take a full backup; a server with more pieces cannot be backed up as one",
        )
    sealing = PackKey(magic, pack_id, seal_to, chance, key)
    frames = sealing.frames(0, raw, FRAME, 3)
    ending = sealing.ending(FRAME, [(len(frame), length) for frame, length in frames])
    return b"".join([sealing.header, *(frame for frame, _ in frames), ending])


def unpack_bytes(magic: bytes, stored: bytes, content_key: bytes) -> bytes:
    """The raw stream of a whole object, every byte checked."""
    header = read_header(stored, magic)
    pack = OpenPack(header.pack_id, content_key)
    table = pack.table(stored, len(stored))
    if table.raw_size > MOST_WHOLE:
        raise Corrupt(f"a {magic.decode()} object of {table.raw_size} bytes is too large")
    view = memoryview(stored)
    return b"".join(
        pack.frame(number, view[table.offsets[number] : table.offsets[number + 1]], length)
        for number, length in enumerate(table.raw_lengths)
    )
