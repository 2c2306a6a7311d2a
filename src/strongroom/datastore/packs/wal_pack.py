"""A range of write-ahead log as a pack: its raw stream is the log itself, or condensed.

The name says the timeline and where it begins; its length says where it ends. Log is read whole
and in order, so a pack of it is one frame: that shrinks better. How hard it is pressed follows
from how fast it comes: of log that shrinks well, a tenth of a core or half as much again.
"""

from collections.abc import Callable

import msgspec

from strongroom.datastore.packs.checked import decode_checked
from strongroom.datastore.packs.pack import (
    CONDENSED,
    MOST_FRAME,
    PACK,
    Bytes,
    Header,
    PackKey,
    PackReader,
    open_content_key,
    read_header,
)
from strongroom.datastore.packs.seal import KeyPair, PublicKey, open_sealed, seal
from strongroom.datastore.packs.wal_condensed import expand_into
from strongroom.model.errors import Corrupt, Invalid
from strongroom.model.ids import PackId, uuid7
from strongroom.model.seams import Chance, Clock

WAL_FRAME = MOST_FRAME
_INFO = b"strongroom-log-session-1"
LEVEL = 3  # at any speed
# Up to so many bytes a second.
_LEVELS = ((1_500_000, 16), (3_000_000, 13), (12_000_000, 9), (24_000_000, 6))


def level_for(pace: float) -> int:
    """zstd's level for log that comes at so many bytes a second."""
    return next((level for most, level in _LEVELS if pace <= most), LEVEL)


def seal_log(
    raw: Bytes,
    data_key: PublicKey,
    clock: Clock,
    chance: Chance,
    *,
    level: int = LEVEL,
    magic: bytes = PACK,
) -> bytes:
    """A whole pack of at most 32 MiB of log; `magic`: PACK, or CONDENSED."""
    if not 0 < len(raw) <= WAL_FRAME:
        raise Invalid(f"a pack does not hold {len(raw)} bytes of write-ahead log")
    key = PackKey(magic, PackId(uuid7(clock.now(), chance)), data_key, chance)
    frames = key.frames(0, raw, WAL_FRAME, level)
    ending = key.ending(WAL_FRAME, [(len(frame), length) for frame, length in frames])
    return b"".join([key.header, *(frame for frame, _ in frames), ending])


def log_header(stored: bytes) -> Header:
    """Of a pack of log, condensed or not. Raises as `read_header`."""
    return read_header(stored, CONDENSED if stored[:6] == CONDENSED[:6] else PACK)


def open_log_into(
    room: bytearray, stored: bytes, content_key: bytes, start: int, length: int
) -> None:
    """The log in a pack, every byte checked, at the beginning of `room` (WAL_FRAME bytes).

    Raises Corrupt unless it is `length` bytes, and begins at `start` where it says so itself.
    """
    header, view = log_header(stored), memoryview(room)
    pack = _reader(stored, header, content_key)
    if header.magic == CONDENSED:
        _demand(header, expand_into(view, b"".join(pack.every_frame())), (start, length))
        return
    if pack.table.raw_size != length:
        raise Corrupt(
            f"pack {header.pack_id} holds {pack.table.raw_size} bytes of log, not {length}"
        )
    pack.frames_into(view, 0, len(pack.table.raw_lengths) - 1)


def open_any_log(
    stored: bytes, pair_of: Callable[[bytes], KeyPair], start: int | None = None
) -> bytes:
    """The same of a pack of which nothing else is known; `pair_of` the key id in its header.

    `start`: where it is to begin, of a range. Raises Corrupt, WrongKey, Invalid.
    """
    header = log_header(stored)
    pack = _reader(stored, header, open_content_key(header, pair_of(header.key_id)))
    if header.magic == CONDENSED:
        room = memoryview(bytearray(WAL_FRAME))
        found = expand_into(room, b"".join(pack.every_frame()))
        _demand(header, found, (found[0] if start is None else start, found[1]))
        return bytes(room[: found[1]])
    return b"".join(pack.every_frame())


def _demand(header: Header, found: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Both (start, length)."""
    if found != wanted:
        ranges = [f"{length} bytes of log from {start:X}" for start, length in (found, wanted)]
        raise Corrupt(f"pack {header.pack_id} holds {', not '.join(ranges)}")


def _reader(stored: bytes, header: Header, content_key: bytes) -> PackReader:
    view = memoryview(stored)

    def fetch(start: int, count: int) -> Bytes:
        return view[start : start + count]

    return PackReader(fetch, len(stored), header.pack_id, content_key, header.magic)


class _Keys(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    packs: dict[str, bytes]  # name -> content key, 32 bytes


def seal_log_keys(keys: dict[str, bytes], session_public: bytes, operation_id: str) -> bytes:
    """The control plane's side: content keys by name, for one recovery alone."""
    public = PublicKey.from_bytes(session_public)
    told = msgspec.msgpack.encode(_Keys(packs=keys))
    return seal(public, _INFO + operation_id.encode(), told)


def open_log_keys(pair: KeyPair, operation_id: str, sealed: bytes) -> dict[str, bytes]:
    """The agent's side."""
    raw = open_sealed(pair, _INFO + operation_id.encode(), sealed)
    found: _Keys = decode_checked(raw, _Keys)
    return found.packs
