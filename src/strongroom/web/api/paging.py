"""Pages of long lists: `$skipToken` in, an absolute `nextLink` out."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Query
from fastapi.responses import Response

from strongroom.model import page
from strongroom.web.api.door import Call

Skip = Annotated[str, Query(alias="$skipToken", max_length=page.LONGEST)]
Filter = Annotated[str, Query(alias="$filter", max_length=512)]


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
