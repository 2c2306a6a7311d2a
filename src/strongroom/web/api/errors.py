"""One door for errors: from the tree of model/errors.py to ARM's words and HTTP's numbers."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from strongroom.model import errors
from strongroom.model.errors import VaultError

log = structlog.get_logger()

# The nearest class in an error's ancestry decides.
STATUS: dict[type[VaultError], int] = {
    errors.Invalid: 400,
    errors.Precondition: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Locked: 409,
    errors.UserError: 400,
    errors.LeaseLost: 409,
    errors.Cancelled: 409,
    errors.SourceError: 400,
    errors.TargetError: 400,
    errors.StoreUnavailable: 503,
    errors.StoreFull: 507,
    errors.StoreError: 500,
    errors.VaultError: 500,
}


def status_of(error: VaultError | type[VaultError]) -> int:
    """The HTTP status of an error."""
    cls = error if isinstance(error, type) else type(error)
    return next(STATUS[base] for base in cls.__mro__ if base in STATUS)


def user_facing(told: dict[str, Any]) -> dict[str, Any]:
    """`VaultError.to_dict()` as Azure's UserFacingError."""
    actions = told.get("facts", {}).get("actions") or [told["hint"]] if told.get("hint") else []
    return {
        "code": told["code"],
        "message": told["message"],
        "recommendedAction": actions,
        "details": None,
        "innerError": {"code": told["kind"], "additionalInfo": {}, "embeddedInnerError": None},
        "isRetryable": False,
        "isUserError": True,
        "properties": {},
        "target": "",
    }


def error_body(told: dict[str, Any]) -> dict[str, Any]:
    """ARM's error object. `kind`, `hint` and `facts` are ours: our own command line reads them."""
    info = [{"type": "UserFacingError", "info": user_facing(told)}]
    return {
        "code": told["code"],
        "message": told["message"],
        "target": None,
        "details": None,
        "additionalInfo": info,
    }


def _answer(status: int, told: dict[str, Any]) -> JSONResponse:
    headers = {"x-ms-error-code": told["code"]}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return JSONResponse({"error": error_body(told), "strongroom": told}, status, headers)


def install(app: FastAPI) -> None:
    """Every failure of every route leaves by here."""

    @app.exception_handler(VaultError)
    def _ours(request: Request, error: VaultError) -> JSONResponse:
        del request
        return _answer(status_of(error), error.to_dict())

    @app.exception_handler(RequestValidationError)
    def _shape(request: Request, error: RequestValidationError) -> JSONResponse:
        del request
        if any(part.get("loc") == ("query", "api-version") for part in error.errors()):
            told = errors.Invalid(
                "The api-version query parameter (?api-version=) is required for all requests.",
                hint="add ?api-version=2026-06-01",
                code="MissingApiVersionParameter",
            ).to_dict()
        else:
            told = errors.Invalid(
                "the request has not the form that this operation takes",
                hint="see the API table in the documentation",
                code="InvalidRequestContent",
            ).to_dict()
        return _answer(400, told)

    @app.exception_handler(HTTPException)
    def _route(request: Request, error: HTTPException) -> JSONResponse:
        told = errors.NotFound(
            f"{request.method} is no operation of this service at this path",
            hint="see the API table in the documentation for what is offered",
            code="InvalidResourceType" if error.status_code == 404 else "MethodNotAllowed",
        ).to_dict()
        return _answer(error.status_code, told)

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
        return _answer(500, told)
