"""The recovery kit: on paper, whole or in shares, and typed back by a tired person."""

import itertools
import re

import pytest

from seams import SystemChance
from strongroom.datastore.kit import MOST_SHARES, read_kit, share_kit, whole_kit
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
