"""Log in a pack: the same bytes again, and the smaller the more time there was for it."""

import pytest

from seams import SystemChance, SystemClock
from strongroom.datastore.packs.pack import PACK, open_content_key, read_header
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.packs.wal_pack import WAL_FRAME, level_for, open_log_into, seal_log
from strongroom.model.errors import Corrupt

RAW = b"".join(
    b"%08d row %06d of table %d is %04d\0\0" % (n, n * n * 7919 % 1_000_003, n % 7, n**3 % 9973)
    for n in range(40_000)
)


def test_log_that_comes_slowly_is_pressed_harder_and_all_of_it_comes_back() -> None:
    pair = KeyPair.generate(SystemChance())
    sizes, room = [], bytearray(WAL_FRAME)
    for seconds in (0.01, 0.5, 10.0):  # so fast that a core could do little else; busy; idle
        level = level_for(len(RAW) / seconds)
        sealed = seal_log(RAW, pair.public, SystemClock(), SystemChance(), level=level)
        key = open_content_key(read_header(sealed, PACK), pair)
        open_log_into(room, sealed, key, 0, len(RAW))
        assert room[: len(RAW)] == RAW
        with pytest.raises(Corrupt, match="bytes of log"):
            open_log_into(room, sealed, key, 0, len(RAW) - 1)
        sizes.append(len(sealed))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


@pytest.mark.parametrize("seconds", [0.01, 0.2, 1.0, 20.0])
def test_what_was_written_megabytes_ago_is_not_stored_again(seconds: float) -> None:
    once = SystemChance().bytes(3 << 20)
    level = level_for(2 * len(once) / seconds)
    sealed = seal_log(
        once + once,
        KeyPair.generate(SystemChance()).public,
        SystemClock(),
        SystemChance(),
        level=level,
    )
    assert len(sealed) < 1.2 * len(once)
