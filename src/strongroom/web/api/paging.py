"""Pages of long lists: `$skipToken` in, an absolute `nextLink` out; and what `$filter` may say."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Query
from fastapi.responses import Response

from strongroom.model import arm, page
from strongroom.web.api.door import FILTER, Call

Skip = Annotated[str, Query(alias="$skipToken", max_length=page.LONGEST)]
Filter = Annotated[str, Query(alias=FILTER, max_length=512)]
Top = Annotated[int, Query(alias="$top", ge=1, le=1000)]
_PLACE = re.compile(r"[-.:()\w]{1,160}~[0-9a-f]{16}")
_JOINT = re.compile(r"\band\b|[()\s]", re.IGNORECASE)


def check_filter(wanted: str, offered: str, *known: re.Pattern[str]) -> None:
    """Invalid where `$filter` asks for more than `known`: all that there is would be no answer."""
    rest = wanted
    for each in known:
        told = [
            found[0].lower() if isinstance(found, tuple) else "" for found in _hits(each, rest)
        ]
        if len(set(told)) < len(told):
            raise arm.invalid(
                f"$filter {wanted[:120]!r} names one thing twice", f"send {offered}, each once"
            )
        rest = each.sub("", rest)
    if _JOINT.sub("", rest):
        raise arm.invalid(f"$filter {wanted[:120]!r} is not offered", f"send {offered}")


def _hits(known: re.Pattern[str], wanted: str) -> list[Any]:
    return known.findall(wanted) if known.groups else []


def answer(
    call: Call,
    rows: list[dict[str, Any]],
    token: str,
    wanted: str = "",
    source: Mapping[str, str] | None = None,
) -> Response:
    """`token`: where the next page begins, empty at the end; the list's own id is its rows'.

    `source`: what the body of a POST named; its list has an address of its own, and clients ask
    there for the next page with GET and without a body.

    Written out here: a page is a quarter of a megabyte, which nobody need look through again.
    """
    told: dict[str, Any] = {"value": rows}
    if token:
        asked = {"api-version": call.version, "$skipToken": token}
        if wanted:
            asked["$filter"] = wanted
        asked |= source or {}
        place = str(rows[0]["id"]).rpartition("/")[0] if source is None else call.path
        told["nextLink"] = f"{call.base}{quote(place)}?{urlencode(asked)}"
    return Response(msgspec.json.encode(told), media_type="application/json")


def listed(
    call: Call,
    rows: list[dict[str, Any]],
    skip: str,
    top: int = 0,
    wanted: str = "",
    *,
    when: bool = False,
) -> Response:
    """A page of rows that are all at hand, by their names; `when`: by when they were made.

    What is added or goes meanwhile moves no other. `top` is as many as the client asked for, if
    it did.
    """
    if skip and not _PLACE.fullmatch(skip):
        raise page.bad_token(skip)
    size = top or page.SIZE
    placed = sorted(((_place(row, when=when), row) for row in rows), key=lambda each: each[0])
    rest = [each for each in placed if each[0] > skip]
    shown = [row for _, row in rest[:size]]
    told: dict[str, Any] = {"value": shown}
    if len(rest) > size:
        asked = {"api-version": call.version, "$skipToken": rest[size - 1][0]}
        asked |= {"$top": str(top)} if top else {}
        asked |= {FILTER: wanted} if wanted else {}
        told["nextLink"] = f"{call.base}{quote(call.path)}?{urlencode(asked)}"
    return Response(msgspec.json.encode(told), media_type="application/json")


def _place(row: dict[str, Any], *, when: bool) -> str:
    """Where it stands in its list; the digest tells apart what has the same name."""
    name = str(row["properties"]["createdOn"] if when else row["name"]).lower()
    return f"{name}~{sha256(str(row['id']).lower().encode()).hexdigest()[:16]}"
