"""The recovery kit: on paper, whole or in shares, and typed back by a tired person."""

import base64
import itertools
import re

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seams import SystemChance
from strongroom.datastore.keys.kit import MOST_SHARES, read_kit, share_kit, whole_kit
from strongroom.model.errors import Invalid
from worlds import World

KEY = World(3).keys.recovery


def is_ours(texts: list[str]) -> bool:
    return read_kit(texts).to_text() == KEY.to_text()


def test_a_kit_that_was_typed_back_in_small_letters_is_the_key_and_so_is_its_file():
    kit = whole_kit(KEY)
    assert max(map(len, kit.splitlines())) <= 80
    assert "strongroom rescue" in kit
    assert KEY.to_text().split()[5] not in kit
    assert is_ours([kit])
    assert is_ours([KEY.to_text()])
    typed = [line.lower() for line in kit.splitlines() if line.startswith("K")]
    assert is_ours(["\n\n".join(typed)])


@pytest.mark.parametrize(("needed", "count"), [(2, 2), (2, 3), (3, 5), (16, MOST_SHARES)])
def test_any_shares_that_suffice_are_the_key_whichever_they_are(needed, count):
    shares = share_kit(KEY, needed, count, SystemChance())
    assert len(shares) == count
    chosen = list(itertools.combinations(shares, needed))
    for some in (chosen[0], chosen[-1], chosen[len(chosen) // 2][::-1]):
        assert is_ours(list(some))
    assert is_ours(shares)


def times(left: int, right: int) -> int:
    """In GF(2^128), as docs/format.md names the polynomial."""
    found = 0
    while right:
        if right & 1:
            found ^= left
        left <<= 1
        if left >> 128:
            left ^= (1 << 128) | (1 << 7) | 7
        right >>= 1
    return found


def inverse(element: int) -> int:
    """Its power 2^128 - 2."""
    found, power = 1, element
    for _ in range(127):
        power = times(power, power)
        found = times(found, power)
    return found


def at_zero(shares: dict[int, bytes]) -> bytes:
    """Lagrange: the constant term of the polynomial that goes through all of them."""
    found = 0
    for x, share in shares.items():
        term = int.from_bytes(share)
        for other in shares:
            if other != x:
                term = times(term, times(other, inverse(other ^ x)))
        found ^= term
    return found.to_bytes(16)


def test_shares_are_what_the_format_says_to_a_reader_that_is_not_ours():
    payloads = []
    for document in share_kit(KEY, 3, 4, SystemChance())[1:]:
        lines = re.findall(r"^K\d\d (.*) : [0-9a-f]{4}$", document, re.MULTILINE)
        letters = "".join(lines).replace(" ", "")
        payloads.append(base64.b32decode(letters + "=" * (-len(letters) % 8)))
    assert [payload[:3] for payload in payloads] == [bytes([2, 3, n]) for n in (2, 3, 4)]
    halves = ({p[2]: p[start : start + 16] for p in payloads} for start in (11, 27))
    secret = b"".join(at_zero(half) for half in halves)
    raw = payloads[0]
    told = AESGCM(secret).decrypt(raw[43:55], raw[55:-4], raw[3:11])
    assert told == KEY.pair.to_bytes() + KEY.verify.raw
    assert len(raw) - 4 == 55 + 144


def test_fewer_shares_than_are_needed_and_the_same_one_twice_are_refused():
    shares = share_kit(KEY, 3, 5, SystemChance())
    for some in (shares[:1], shares[:2], [shares[0]] * 3):
        with pytest.raises(Invalid, match="3 shares of the kit are needed"):
            read_kit(some)


def test_shares_of_several_kits_are_refused_though_they_are_of_the_same_key():
    one, other = (share_kit(KEY, 2, 2, SystemChance()) for _ in range(2))
    with pytest.raises(Invalid, match="several kits"):
        read_kit([one[0], other[1]])


def test_a_letter_that_was_mistyped_is_told_with_its_line_and_so_is_a_line_that_is_missing():
    lines = [line for line in whole_kit(KEY).splitlines() if line.startswith("K")]
    for number, line in enumerate(lines, 1):
        at = 4 + number
        letter = line[at] if line[at] != " " else line[at + 1]
        at += line[at] == " "
        wrong = line[:at] + ("A" if letter != "A" else "B") + line[at + 1 :]
        with pytest.raises(Invalid, match=f"K{number:02}.* is mistyped"):
            read_kit(["\n".join([*lines[: number - 1], wrong, *lines[number:]])])
        rest = [*lines[: number - 1], *lines[number:]]
        with pytest.raises(Invalid, match="missing"):
            read_kit(["\n".join(rest)])


@pytest.mark.parametrize(("needed", "count"), [(1, 2), (0, 0), (3, 2), (2, MOST_SHARES + 1)])
def test_numbers_of_shares_that_make_no_sense_are_refused(needed, count):
    with pytest.raises(Invalid, match=f"{needed} of {count}"):
        share_kit(KEY, needed, count, SystemChance())


def test_what_is_no_kit_at_all_is_told():
    for text in ("", "hello", re.sub("K01", "K99", whole_kit(KEY))):
        with pytest.raises(Invalid):
            read_kit([text])
    with pytest.raises(Invalid, match="not whole"):
        read_kit(["hello", "world"])
