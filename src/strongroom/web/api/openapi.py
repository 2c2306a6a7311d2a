"""The OpenAPI document of the API: what the routes say, and what they all have in common."""

from typing import Any

from fastapi import FastAPI

from strongroom.web.api.door import ACTION, PUBLIC

_WITH_BODY = ("put", "post", "patch")
_OBJECT = {"content": {"application/json": {"schema": {"type": "object"}}}}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "target": {"type": ["string", "null"]},
                "details": {"type": ["array", "null"]},
                "additionalInfo": {"type": "array"},
            },
        }
    },
}
_FAILURE = {
    "description": "An error in ARM's form.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ArmError"}}},
}


def complete(app: FastAPI) -> None:
    """Let the document tell how callers sign in, what errors look like, and of bodies."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        known = app.openapi_schema is not None
        told = plain()
        return told if known else _completed(told)

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _completed(told: dict[str, Any]) -> dict[str, Any]:
    parts = told.setdefault("components", {})
    parts.setdefault("schemas", {})["ArmError"] = _ERROR
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for methods in told["paths"].values():
        for method, route in methods.items():
            if ACTION not in route:
                continue
            route["responses"] = {
                **{code: each for code, each in route["responses"].items() if code != "422"},
                "default": _FAILURE,
            }
            if route[ACTION] != PUBLIC:
                route["security"] = [{"token": []}]
            if method in _WITH_BODY:
                route.setdefault("requestBody", _OBJECT)
    return told
