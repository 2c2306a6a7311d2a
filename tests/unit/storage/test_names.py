"""Names: what is a name stays one, and everything else is refused."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.errors import Invalid
from strongroom.storage.basis.names import ancestors, checked_blob, checked_container, decoded


@given(st.text(max_size=60))
def test_an_accepted_name_is_a_path_that_stays_beneath_its_container(name: str) -> None:
    try:
        checked_blob(name)
    except Invalid:
        return
    path = PurePosixPath("/root/container") / name
    assert str(path) == f"/root/container/{name}"
    assert ".." not in path.parts
    assert "\0" not in name
    name.encode()


@given(st.text(st.sampled_from("%2eE/\\.fFaA0zé\n"), max_size=20))
def test_decoding_happens_once(raw: str) -> None:
    try:
        name = checked_blob(decoded(raw))
    except Invalid:
        return
    assert checked_blob(name) == name


@pytest.mark.parametrize(
    "name",
    ["g/1/018f.pack", "a b", "ä/ü", "a..b/.hidden/...", "-", "~", "x" * 255, "%2e%2e", "日本"],
)
def test_ordinary_names_are_allowed(name: str) -> None:
    assert checked_blob(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a\0", "a\nb", "a\x7f",
     "a\u202eb", "a\u200bb", "\ufeffa", "a\u2028", "\uffff", "\ud800", "x" * 256, "é" * 128,
     "/".join(["x"] * 600), "/".join(["é" * 100] * 11)],
)  # fmt: skip
def test_names_that_mean_two_things_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        checked_blob(name)


@pytest.mark.parametrize(
    "name", ["abc", "a-b", "0a1-b2", "x" * 63, "00112233445566778899aabbccddeeff"]
)
def test_containers(name: str) -> None:
    assert checked_container(name) == name


@pytest.mark.parametrize(
    "name", ["ab", "x" * 64, "-ab", "ab-", "a--b", "Abc", "a.b", "$root", "a_b", "äbc", "abc\n",
     ".strongroom"],
)  # fmt: skip
def test_other_containers_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        checked_container(name)


def test_ancestors() -> None:
    assert ancestors("a/b/c") == ["a", "a/b"]
    assert ancestors("a") == []
