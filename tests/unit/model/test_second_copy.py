"""A second copy that is late, damaged or silent is told of; one that keeps up is not."""

from typing import Any

import pytest

from strongroom.model.resources.second_copy import LAG_SECONDS, trouble_of, words_of

WELL = {"lagSeconds": 60, "behindObjects": 0, "goneObjects": 0, "differing": 0, "error": ""}


@pytest.mark.parametrize("told", [{}, WELL, {**WELL, "lagSeconds": LAG_SECONDS}])
def test_a_copy_that_keeps_up_and_none_at_all_are_no_trouble(told: dict[str, Any]) -> None:
    assert trouble_of(told) == ""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"lagSeconds": LAG_SECONDS + 60}, "241 min behind"),
        ({"lagSeconds": None, "behindObjects": 7}, "not whole yet: 7 objects to come"),
        ({"error": "it is away"}, "not known: it is away"),
        ({"differing": 2, "damagedObjects": 1}, "2 objects differ, 1 objects are damaged there"),
        ({"lagSeconds": 90_000, "damagedObjects": 3}, "1500 min behind, 3 objects are damaged"),
    ],
)
def test_what_is_wrong_is_said(more: dict[str, Any], words: str) -> None:
    assert trouble_of({**WELL, **more}).startswith(words)


def test_what_is_gone_at_the_first_is_told_without_being_wrong() -> None:
    told = {**WELL, "goneObjects": 5}
    assert words_of(told) == "1 min behind; 5 objects are gone at the first"
    assert trouble_of(told) == ""
