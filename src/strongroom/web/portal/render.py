"""Templates to answers: one environment, our words as filters, headers that allow nothing else."""

import gzip
from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request

from strongroom.web.portal import assets, words

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding",
}
_WORTH_PACKING = 1000  # bytes


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("strongroom.web.portal"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "size": words.size,
        "number": words.number,
        "money": words.money,
        "change": words.change,
        "span": words.span,
        "day": words.day,
        "year": words.year,
        "month": words.month,
        "clock": words.clock,
        "moment": words.moment,
        "second": words.second,
        "to_the_second": words.to_the_second,
        "kept": words.kept,
        "lasted": words.lasted,
        "sentence": words.sentence,
        "version": words.version,
        "where": words.where,
    }
    made.globals |= {"asset": assets.address, "many": words.many}
    return made


_TEMPLATES = _environment()


def text_of(template: str, facts: Mapping[str, Any]) -> str:
    """A template, filled in."""
    return _TEMPLATES.get_template(template).render(facts)


def part_of(template: str, part: str, *values: object) -> str:
    """One macro of a template, called: what an event carries."""
    macro = getattr(_TEMPLATES.get_template(template).module, part)
    return str(macro(*values))


def html(request: Request, text: str, status: int = 200) -> Response:
    """A page as an answer, packed for those who can unpack it."""
    content, headers = text.encode(), dict(HEADERS)
    packs = "gzip" in request.headers.get("accept-encoding", "")
    if packs and len(content) > _WORTH_PACKING:
        content = gzip.compress(content, 5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, status, headers, "text/html; charset=utf-8")
