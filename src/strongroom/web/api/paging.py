"""Pages of long lists: `$skipToken` in, an absolute `nextLink` out; and what `$filter` may say."""

import re
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Query
from fastapi.responses import Response

from strongroom.model import arm, page
from strongroom.web.api.door import Call

Skip = Annotated[str, Query(alias="$skipToken", max_length=page.LONGEST)]
Filter = Annotated[str, Query(alias="$filter", max_length=512)]
_JOINT = re.compile(r"\band\b|[()\s]", re.IGNORECASE)


def check_filter(wanted: str, offered: str, *known: re.Pattern[str]) -> None:
    """Invalid where `$filter` asks for more than `known`: all that there is would be no answer."""
    rest = wanted
    for each in known:
        rest = each.sub("", rest)
    if _JOINT.sub("", rest):
        raise arm.invalid(f"$filter {wanted[:120]!r} is not offered", f"send {offered}")


def answer(call: Call, rows: list[dict[str, Any]], token: str, wanted: str = "") -> Response:
    """`token`: where the next page begins, empty at the end; the list's own id is its rows'.

    Written out here: a page is a quarter of a megabyte, which nobody need look through again.
    """
    told: dict[str, Any] = {"value": rows}
    if token:
        asked = {"api-version": call.version, "$skipToken": token}
        if wanted:
            asked["$filter"] = wanted
        place = str(rows[0]["id"]).rpartition("/")[0]
        told["nextLink"] = f"{call.base}{quote(place)}?{urlencode(asked)}"
    return Response(msgspec.json.encode(told), media_type="application/json")
