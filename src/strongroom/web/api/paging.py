"""Pages of long lists: `$skipToken` in, an absolute `nextLink` out."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query

from strongroom.model import page
from strongroom.web.api.door import Call

Skip = Annotated[str, Query(alias="$skipToken", max_length=page.LONGEST)]
Filter = Annotated[str, Query(alias="$filter", max_length=512)]


def answer(
    call: Call, place: str, rows: list[dict[str, Any]], token: str, wanted: str = ""
) -> dict[str, Any]:
    """`place`: the list's own id; `token`: where the next page begins, empty at the end."""
    if not token:
        return {"value": rows}
    asked = {"api-version": call.version, "$skipToken": token}
    if wanted:
        asked["$filter"] = wanted
    return {"value": rows, "nextLink": f"{call.base}{quote(place)}?{urlencode(asked)}"}
