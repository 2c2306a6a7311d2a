import pytest

from strongroom.cli.basis.exits import DENIED, FAILED, NOT_FOUND, STANDS, USAGE, exit_code
from strongroom.model import errors
from strongroom.model.errors import every_error


@pytest.mark.parametrize("name", sorted(every_error()))
def test_every_error_has_an_exit_code_and_none_of_them_is_success(name):
    assert exit_code(every_error()[name]) in (FAILED, USAGE, NOT_FOUND, DENIED, STANDS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Invalid, USAGE),
        (errors.NotFound, NOT_FOUND),
        (errors.Forbidden, DENIED),
        (errors.Unauthenticated, DENIED),
        (errors.StoreDenied, DENIED),
        (errors.Corrupt, FAILED),
        (errors.Precondition, FAILED),
        (errors.SourceRefused, FAILED),
    ],
)
def test_a_script_can_tell_usage_absence_and_denial_from_failure(error, code):
    assert exit_code(error) == code
