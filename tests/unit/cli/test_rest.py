import pytest
from whenever import Instant

from strongroom.cli.basis.rest import error_of, moment
from strongroom.model.errors import Conflict, Failed, Invalid, Precondition


def arm_error(kind: str, code: str = "UserErrorX") -> dict:
    info = {"recommendedAction": ["First.", "Second."], "innerError": {"code": kind}}
    return {
        "code": code,
        "message": "it is so",
        "additionalInfo": [{"type": "UserFacingError", "info": info}],
    }


def test_our_own_kind_of_error_comes_back_as_that_kind_with_its_hints():
    found = error_of(arm_error("Precondition"), 200)
    assert type(found) is Precondition
    assert (found.message, found.hint) == ("it is so", "First. / Second.")


@pytest.mark.parametrize(("status", "kind"), [(400, Invalid), (409, Conflict), (500, Failed)])
def test_a_stranger_s_error_is_told_by_its_status(status, kind):
    assert type(error_of({"code": "Foreign", "message": "no"}, status)) is kind


def test_an_empty_error_still_says_something():
    assert error_of({}, 502).message == "HTTP 502"


def test_arm_s_seven_digits_are_a_time():
    assert moment("2026-03-01T02:00:00.1234560Z") == Instant.parse_iso(
        "2026-03-01T02:00:00.123456Z"
    )
    assert moment(None) is None
