"""If-Match and If-None-Match."""

import pytest

from strongroom.model.conditions import Conditions, etag_of
from strongroom.model.errors import Changed


@pytest.mark.parametrize(
    ("match", "none_match", "version"),
    [
        ("", "", None),
        ("", "", 3),
        ("*", "", 3),
        (etag_of(3), "", 3),
        ('"3"', "", 3),
        ('W/"2", W/"3"', "", 3),
        ("", "*", None),
        ("", etag_of(2), 3),
    ],
)
def test_what_is_as_the_writer_saw_it_may_be_written(match, none_match, version):
    Conditions(if_match=match, if_none_match=none_match).check(version)


@pytest.mark.parametrize(
    ("match", "none_match", "version"),
    [
        ("*", "", None),
        (etag_of(3), "", None),
        (etag_of(2), "", 3),
        ("3", "", 3),
        ("", "*", 3),
        ("", etag_of(3), 3),
    ],
)
def test_what_is_not_is_refused(match, none_match, version):
    with pytest.raises(Changed) as refused:
        Conditions(if_match=match, if_none_match=none_match).check(version)
    assert refused.value.code == "PreconditionFailed"
    assert refused.value.hint
