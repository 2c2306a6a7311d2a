"""One door for errors: from the tree of model/errors.py to ARM's words and HTTP's numbers."""

import math
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from strongroom.control.resources.servers import NOT_READY
from strongroom.model import errors
from strongroom.model.errors import Retry, UserError, VaultError, every_error

log = structlog.get_logger()
_NO_PAGE = "there is no page at this address"

# The nearest class in an error's ancestry decides.
STATUS: dict[type[VaultError], int] = {
    errors.Invalid: 400,
    errors.Precondition: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Locked: 409,
    errors.Changed: 412,
    errors.SlowDown: 429,
    errors.UserError: 400,
    errors.LeaseLost: 409,
    errors.Cancelled: 409,
    errors.SourceError: 400,
    errors.TargetError: 400,
    errors.StoreUnavailable: 503,
    errors.StoreFull: 507,
    errors.StoreError: 500,
    errors.ControlUnavailable: 503,
    errors.VaultError: 500,
}
NO_PERMISSIONS = "UserErrorMissingDBPermissions"
CLOSED = "UserErrorServerConnectionClosed"
BAD_INPUT = "BMSUserErrorInvalidInput"
_TABLE = "docs/azure-compatibility.md lists what is offered"
# Azure Backup says that the server let it down, and in the inner code why.
SERVER_FAILED = "PostgreSQLFlexOperationFailedUserError"
# A code of ours -> (code, inner code) of Azure's, where it has one. Source: Microsoft,
# "Troubleshoot Azure Database for PostgreSQL backup", of flexible and of single servers.
_AZURE = {
    NOT_READY: (SERVER_FAILED, NOT_READY),
    errors.SourceUnreachable.__name__: (SERVER_FAILED, NOT_READY),
    errors.SourceUnsupported.__name__: (SERVER_FAILED, errors.SourceUnsupported.__name__),
    errors.SourceRefused.__name__: (NO_PERMISSIONS, NO_PERMISSIONS),
    errors.SourceStopped.__name__: (CLOSED, CLOSED),
    errors.TargetNotEmpty.__name__: (BAD_INPUT, errors.TargetNotEmpty.__name__),
}
_BY_CODE = {"UserErrorDppDatasourceAlreadyProtected": 400}  # as Azure Backup answers it
_BACKUP = "/microsoft.dataprotection/"  # the server's own operations have the inner code alone


def status_of(error: VaultError | type[VaultError]) -> int:
    """The HTTP status of an error."""
    if isinstance(error, VaultError) and error.code in _BY_CODE:
        return _BY_CODE[error.code]
    cls = error if isinstance(error, type) else type(error)
    return next(STATUS[base] for base in cls.__mro__ if base in STATUS)


def code_of(told: dict[str, Any]) -> str:
    """The code that Azure Backup has for it."""
    return _AZURE.get(told["code"], (str(told["code"]), ""))[0]


def inner_code_of(told: dict[str, Any]) -> str:
    """The one within, and the whole of what a server's own operations tell."""
    return _AZURE.get(told["code"], ("", str(told["code"])))[1]


def user_facing(told: dict[str, Any], code: str = "") -> dict[str, Any]:
    """`VaultError.to_dict()` as Azure's UserFacingError. `code`: another than `code_of` it.

    `properties.Kind` is our own word for it, which our command line reads.
    """
    kind = every_error().get(told["kind"], VaultError)
    actions = (told.get("facts") or {}).get("actions") or [told["hint"]]
    code = code or code_of(told)
    return {
        "code": code,
        "message": told["message"],
        "recommendedAction": [action for action in actions if action],
        "details": None,
        "innerError": {
            "code": inner_code_of(told),
            "additionalInfo": {"DetailedNonLocalisedMessage": told["message"]},
            "embeddedInnerError": None,
        },
        "isRetryable": kind.retry is Retry.LATER,
        "isUserError": issubclass(kind, UserError) or "UserError" in code,
        "properties": {"Kind": told["kind"]},
        "target": (told.get("facts") or {}).get("field", ""),
    }


def error_body(told: dict[str, Any], code: str = "") -> dict[str, Any]:
    """ARM's error object. `code`: another than `code_of` it."""
    return {
        "code": code or code_of(told),
        "message": told["message"],
        "target": (told.get("facts") or {}).get("field"),
        "details": (told.get("facts") or {}).get("details"),
        "additionalInfo": [{"type": "UserFacingError", "info": user_facing(told, code)}],
    }


def _answer(
    status: int, told: dict[str, Any], headers: dict[str, str] | None = None, code: str = ""
) -> JSONResponse:
    """`strongroom` beside `error` is the failure in our own words: our command line reads it."""
    body = error_body(told, code)
    more = {"x-ms-error-code": body["code"], **(headers or {})}
    return JSONResponse({"error": body, "strongroom": told}, status, more)


# Whoever may not, does not say who they are, or sends too much; not what is merely not there.
_TOLD = frozenset({401, 403, 408, 413, 429, 431})


def _tell(request: Request, status: int, code: str) -> None:
    if status in _TOLD:
        request.app.state.refusals.tell(
            status=status,
            code=code,
            path=request.url.path,
            method=request.method,
            caller=getattr(request.state, "caller", ""),
            client=request.client.host if request.client else "",
            correlation=request.state.correlation,
        )


def _malformed(error: RequestValidationError) -> errors.Invalid:
    """Which parameters, and what of them; never the value, which may be a megabyte."""
    wrong = "; ".join(
        f"{str(part['loc'][-1])[:60]}: {part['msg'][:120]}"
        for part in error.errors()[:5]
        if part.get("loc")
    )
    return errors.Invalid(
        f"the request has not the form that this operation takes: {wrong}",
        hint=_TABLE,
        code="InvalidRequestContent",
    )


def _gone(request: Request, error: Exception) -> Response:
    """Whoever hangs up amid a body is told nothing, and is no failure of ours."""
    del error
    _tell(request, 408, "ClientDisconnected")
    return Response(status_code=408)


def install(
    app: FastAPI, challenge: str, page_of: Callable[[Request, VaultError], Response]
) -> None:
    """Every failure of every route leaves by here. `challenge` is what a 401 asks for.

    `page_of`: what a browser is shown that asks for a page which is not there.
    """

    app.add_exception_handler(ClientDisconnect, _gone)

    @app.exception_handler(VaultError)
    def _ours(request: Request, error: VaultError) -> JSONResponse:
        status = status_of(error)
        if status >= 500:
            log.error("api.failed", correlation=request.state.correlation, exc_info=error)
        _tell(request, status, error.code)
        headers = {"WWW-Authenticate": challenge} if status == 401 else {}
        if isinstance(error, errors.SlowDown):
            wait = float(error.facts.get("retry_after_seconds", 1.0))
            headers["Retry-After"] = str(math.ceil(max(wait, 1.0)))
        is_backup = _BACKUP in request.url.path.lower()
        told = error.to_dict()
        return _answer(status, told, headers, "" if is_backup else inner_code_of(told))

    @app.exception_handler(RequestValidationError)
    def _shape(request: Request, error: RequestValidationError) -> JSONResponse:
        del request
        if any(tuple(part.get("loc", ())) == ("query", "api-version") for part in error.errors()):
            told = errors.Invalid(
                "The api-version query parameter (?api-version=) is required for all requests.",
                hint="add ?api-version=2026-06-01",
                code="MissingApiVersionParameter",
            )
        else:
            told = _malformed(error)
        return _answer(400, told.to_dict())

    @app.exception_handler(HTTPException)
    def _route(request: Request, error: HTTPException) -> Response:
        told = _refusal(request, error)
        if error.status_code == 404 and "text/html" in request.headers.get("accept", ""):
            return page_of(request, errors.NotFound(_NO_PAGE))
        _tell(request, error.status_code, told.code)
        allowed = {"Allow": _allowed(request)} if error.status_code == 405 else {}
        return _answer(error.status_code, told.to_dict(), allowed)

    @app.exception_handler(Exception)
    def _bug(request: Request, error: Exception) -> JSONResponse:
        correlation = request.state.correlation
        log.error("api.bug", path=request.url.path, correlation=correlation, exc_info=error)
        told = {
            "kind": "Bug",
            "code": "InternalServerError",
            "message": f"an internal error; correlation id {correlation}",
            "hint": "look for this id in the log of `serve` and report it",
            "facts": {},
        }
        # This door stands outside of the middleware that gives other answers their ids.
        return _answer(500, told, {"x-ms-correlation-request-id": correlation})


def _allowed(request: Request) -> str:
    """Every method that there is at this path, of whichever route."""
    found: set[str] = set()
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(found))


def _refusal(request: Request, error: HTTPException) -> VaultError:
    if error.status_code == 413:
        return errors.Invalid(
            "the body is too large", hint="send at most 1 MiB", code="RequestContentTooLarge"
        )
    if error.status_code == 408:
        return errors.Invalid(
            "the body did not arrive in time", hint="send it at once", code="RequestTimeout"
        )
    if error.status_code == 431:
        return errors.Invalid(
            "the headers are too long", hint="send fewer", code="RequestHeaderFieldsTooLarge"
        )
    if error.status_code == 405:
        return errors.Invalid(
            f"{request.method} is not offered for this resource",
            hint=_TABLE,
            code="MethodNotAllowed",
        )
    if error.status_code == 404:
        return errors.NotFound(
            f"{request.method} is no operation of this service at this path",
            hint=_TABLE,
            code="InvalidResourceType",
        )
    return errors.Invalid(
        "the request cannot be read", hint="send it as HTTP says", code="InvalidRequestContent"
    )
