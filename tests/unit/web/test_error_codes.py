"""Failures in the words that Azure has for them; our own are beside them, for our command line."""

import pytest

from strongroom.cli.basis.rest import error_of
from strongroom.control.resources.servers import NOT_READY
from strongroom.model import errors
from strongroom.model.errors import VaultError
from strongroom.web.api.errors import error_body, inner_code_of

FAILED = "PostgreSQLFlexOperationFailedUserError"


@pytest.mark.parametrize(
    ("error", "code", "inner"),
    [
        (errors.Precondition("not yet", code=NOT_READY), FAILED, NOT_READY),
        (errors.SourceUnreachable("nothing listens"), FAILED, NOT_READY),
        (errors.SourceUnsupported("version 9"), FAILED, "SourceUnsupported"),
        (
            errors.SourceRefused("no replication"),
            "UserErrorMissingDBPermissions",
            "UserErrorMissingDBPermissions",
        ),
        (
            errors.SourceStopped("it went away"),
            "UserErrorServerConnectionClosed",
            "UserErrorServerConnectionClosed",
        ),
        (errors.TargetNotEmpty("a file lies there"), "BMSUserErrorInvalidInput", "TargetNotEmpty"),
    ],
)
def test_a_failure_has_azures_code_and_keeps_our_kind(
    error: VaultError, code: str, inner: str
) -> None:
    told = error.to_dict()
    body = error_body(told)
    info = body["additionalInfo"][0]["info"]
    assert body["code"] == info["code"] == code
    assert info["innerError"]["code"] == inner_code_of(told) == inner
    assert info["isUserError"]
    assert info["isRetryable"] is (type(error).retry is errors.Retry.LATER)
    assert type(error_of(body, 200)) is type(error)


def test_a_failure_that_azure_has_no_word_for_keeps_ours() -> None:
    body = error_body(errors.Corrupt("not what was written").to_dict())
    info = body["additionalInfo"][0]["info"]
    assert body["code"] == info["innerError"]["code"] == "Corrupt"
    assert not info["isUserError"]
