"""What is compiled gives what Python gives; every way that this machine has is tried."""

import random
import threading
from functools import partial

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom import compiled
from strongroom.datastore.maps import page_digests
from strongroom.datastore.maps.page_digests import tags_at_once, tags_one_by_one
from strongroom.model.postgres import PAGE
from strongroom.postgres.pages import page_checksum
from strongroom.postgres.pages.page_checksum import sums_in_steps

KEY = bytes(range(32))
HASHES = [
    each
    for each in (compiled.ghash, getattr(compiled._pages, "ghash_of_older", None))
    if each is not None
]
TAGS = [tags_one_by_one, *(partial(tags_at_once, ghash=each) for each in HASHES)]


def in_steps(pages: bytes) -> bytes:
    return sums_in_steps(np.frombuffer(pages, dtype="<u4").reshape(-1, PAGE // 4)).tobytes()


SUMS = [in_steps] + ([compiled.page_sums] if compiled.page_sums else [])


def page_sum_by_the_book(page: bytes) -> int:
    """As checksum_impl.h has it, a word after the other."""
    sums = [int(each) for each in page_checksum._FIRST]
    words = [int(each) for each in np.frombuffer(page, dtype="<u4")]
    words[2] &= 0xFFFF0000
    for at, word in enumerate([*words, *[0] * 64]):
        mixed = sums[at % 32] ^ word
        sums[at % 32] = (mixed * 16777619 & 0xFFFFFFFF) ^ (mixed >> 17)
    folded = 0
    for each in sums:
        folded ^= each
    return folded


def some_pages(count: int) -> bytes:
    """Random ones, and those that are all ones, all zeros and one bit."""
    odd = [b"\xff" * PAGE, bytes(PAGE), bytes(PAGE - 1) + b"\x80", b"\x01" + bytes(PAGE - 1)]
    drawn = random.Random(count).randbytes(PAGE * count)
    return drawn + b"".join(odd)


@pytest.mark.parametrize("sums", SUMS)
def test_the_sums_of_pages_are_those_of_postgresql(sums):
    pages = some_pages(5)
    found = np.frombuffer(sums(pages), dtype="<u4").tolist()
    cut = [pages[at : at + PAGE] for at in range(0, len(pages), PAGE)]
    assert found == [page_sum_by_the_book(page) for page in cut]
    assert sums(b"") == b""


@pytest.mark.parametrize("sums", SUMS)
def test_pages_that_lie_anywhere_are_summed(sums):
    pages = some_pages(3)
    shifted = memoryview(b"abc" + pages)[3:]
    assert sums(shifted) == sums(pages)


@pytest.mark.parametrize("tags", TAGS)
def test_the_tag_of_a_page_is_that_of_a_gcm_that_encrypts_nothing(tags):
    pages = some_pages(67)
    first = 4090
    found = tags(KEY)(first, memoryview(pages))
    for number in range(len(pages) // PAGE):
        nonce = ((1 << 94) + first + number).to_bytes(12, "big")
        page = pages[number * PAGE : (number + 1) * PAGE]
        assert found[16 * number : 16 * number + 16] == AESGCM(KEY).encrypt(nonce, b"", page)
    assert tags(KEY)(0, memoryview(b"")) == b""


@pytest.mark.parametrize("tags", TAGS)
def test_keys_of_every_sort_are_hashed_with(tags):
    """Whether the hash's own key is doubled with a carry follows from the key."""
    draw = random.Random(11)
    page = memoryview(draw.randbytes(PAGE))
    for _ in range(64):
        key = draw.randbytes(32)
        nonce = ((1 << 94) + 7).to_bytes(12, "big")
        assert tags(key)(7, page) == AESGCM(key).encrypt(nonce, b"", bytes(page))


def test_where_nothing_is_compiled_digests_and_checksums_are_the_same(monkeypatch):
    pages = some_pages(9)

    def told() -> tuple[bytes, list[int]]:
        digests = page_digests.digests_by(KEY)(3, memoryview(pages + b"a short one"))
        return digests, page_checksum.wrong_pages(pages, 100)

    here = told()
    monkeypatch.setattr(compiled, "ghash", None)
    monkeypatch.setattr(compiled, "page_sums", None)
    assert told() == here


@pytest.mark.parametrize("ask", [*SUMS[1:], *HASHES])
def test_parts_of_pages_are_refused(ask):
    words = [] if ask is compiled.page_sums else [bytes(16)]
    with pytest.raises(ValueError, match="8193 bytes are no whole pages of 8192"):
        ask(*words, bytes(PAGE + 1))
    with pytest.raises(TypeError):
        ask(*words, "text")


@pytest.mark.parametrize("ghash", HASHES)
def test_a_subkey_of_another_length_is_refused(ghash):
    with pytest.raises(ValueError, match="a subkey has 16 bytes, not 15"):
        ghash(bytes(15), bytes(PAGE))


@pytest.mark.parametrize("sums", SUMS[1:])
def test_threads_do_not_disturb_each_other(sums):
    pieces = [some_pages(count) for count in range(20, 60)]
    alone = [sums(piece) for piece in pieces]
    together: dict[int, bytes] = {}

    def sum_up(mine: int) -> None:
        for number in range(mine, len(pieces), 4):
            together[number] = sums(pieces[number])

    threads = [threading.Thread(target=sum_up, args=[mine]) for mine in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(len(pieces))] == alone
