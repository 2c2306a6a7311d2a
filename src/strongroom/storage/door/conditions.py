"""Ranges, and the If-* headers."""

import re
from email.utils import parsedate_to_datetime
from typing import Literal

from strongroom.model.errors import Conflict, Invalid
from strongroom.storage.basis.blob import Blob
from strongroom.storage.door.request import Request

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", flags=re.ASCII)


def wanted_range(request: Request, size: int) -> tuple[int, int] | None:
    """(offset, length) of `x-ms-range` or `Range`, cut to the blob; None for all of it.

    Raises Invalid (InvalidRange, 416) when it starts beyond the end.
    """
    text = request.headers.get("x-ms-range") or request.headers.get("range")
    if text is None:
        return None
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None or match.group(1) == match.group(2) == "":
        raise Invalid("the range cannot be read", code="InvalidHeaderValue")
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start = int(first)
        end = min(size, int(last) + 1) if last else size
    if start >= size or end <= start:
        raise Invalid("the range is not in the blob", code="InvalidRange", facts={"size": size})
    return start, end - start


def judge_read(request: Request, blob: Blob) -> Literal["go", "not modified"]:
    """Raises Conflict (ConditionNotMet, 412) when the caller means another blob."""
    headers = request.headers
    if "if-match" in headers and not _names(headers["if-match"], blob.etag):
        raise _not_met()
    created = blob.created.timestamp()
    if "if-unmodified-since" in headers and created > _seconds(headers["if-unmodified-since"]):
        raise _not_met()
    if "if-none-match" in headers:
        return "not modified" if _names(headers["if-none-match"], blob.etag) else "go"
    if "if-modified-since" in headers and created <= _seconds(headers["if-modified-since"]):
        return "not modified"
    return "go"


def judge_create(request: Request) -> None:
    """Asked for a name that is free: a condition on the blob that was there cannot hold."""
    if "if-match" in request.headers or "if-unmodified-since" in request.headers:
        raise _not_met()


def judge_delete(request: Request, blob: Blob) -> None:
    """As for a read, where "not modified" is a no."""
    if judge_read(request, blob) != "go":
        raise _not_met()


def _names(condition: str, etag: str) -> bool:
    tags = [tag.strip() for tag in condition.split(",")]
    return "*" in tags or etag in tags or etag.strip('"') in tags


def _seconds(text: str) -> int:
    try:
        # HTTP dates have whole seconds: a blob made within that second counts as not modified.
        return int(parsedate_to_datetime(text).timestamp()) + 1
    except ValueError as error:
        raise Invalid("a date header cannot be read", code="InvalidHeaderValue") from error


def _not_met() -> Conflict:
    return Conflict("the condition of the request is not met", code="ConditionNotMet")
