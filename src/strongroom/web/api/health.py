"""For whoever watches the process: is it alive, can it work."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from strongroom.control.resources import subscriptions
from strongroom.web.api.door import Means

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
def alive() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
def ready(control: Means) -> JSONResponse:
    """The catalogue answers too; a 500 of the door for bugs says that it does not."""
    subscriptions.check_catalogue(control)
    return JSONResponse({"status": "ready"})
