"""Numbers for Prometheus, to whoever has a token and may look at the vaults."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from strongroom.control.overview import metrics
from strongroom.web.api.door import Means, Who

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def read(control: Means, caller: Who) -> PlainTextResponse:
    """In the text format. Prometheus gets its token by `oauth2`, from our own issuer."""
    text = metrics.read_metrics(control, caller)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
