"""Styles, scripts and shapes: served under a name that holds their digest, and kept for a year."""

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.model.errors import NotFound

router = APIRouter(prefix="/portal/static", include_in_schema=False)
_HOME = files("strongroom.web.portal") / "static"
_KINDS = {
    "tokens.css": "text/css",
    "portal.css": "text/css",
    "parts.css": "text/css",
    "portal.js": "text/javascript",
    "shapes.svg": "image/svg+xml",
    "mark.svg": "image/svg+xml",
    "vendor/htmx.min.js": "text/javascript",
}


@cache
def _content(name: str) -> bytes:
    return (_HOME / name).read_bytes()


@cache
def address(name: str) -> str:
    """Where an asset is served: another content has another address."""
    digest = hashlib.sha256(_content(name)).hexdigest()[:16]
    return f"/portal/static/{digest}/{name}"


@router.get("/{digest}/{name:path}")
def asset(digest: str, name: str) -> Response:
    """One asset. An old address gives what there is now, and is not kept."""
    if name not in _KINDS:
        raise NotFound(f"there is no asset {name[:60]}")
    lasting = address(name) == f"/portal/static/{digest}/{name}"
    kept = "public, max-age=31536000, immutable" if lasting else "no-store"
    return Response(_content(name), media_type=_KINDS[name], headers={"Cache-Control": kept})
