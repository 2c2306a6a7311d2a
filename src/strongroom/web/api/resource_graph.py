"""Azure Resource Graph, for what clients of backups ask it: vaults, instances and jobs, of all.

The same rows as those of the lists, to the same callers, and a query over them.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from fastapi import APIRouter

from strongroom.control.overview import resource_graph
from strongroom.control.resources import vaults
from strongroom.model import arm
from strongroom.model.graph_query import TABLES, read_query
from strongroom.web.api import wire, wire_graph, wire_jobs
from strongroom.web.api.door import ANYBODY, Asked, Body, Call, does

router = APIRouter()
_MOST, _USUAL = 1000, 100  # rows of one answer
_FORM = "objectArray"
Row = Mapping[str, Any]


@router.post("/providers/Microsoft.ResourceGraph/resources", openapi_extra=does(ANYBODY))
def query_resources(body: Body, call: Asked) -> dict[str, Any]:
    """What a query finds among all that the caller may list: the part of Kusto that `az` sends."""
    query = read_query(arm.pick_text(body, "query"))
    skip, top = _page(arm.pick_object(body, "options"))
    rows = _rows(call, query.table) if _is_asked(body, call) else ()
    shown: list[Row] = []
    total = 0
    for total, row in enumerate(query.run(rows), 1):
        if skip < total <= skip + top:
            shown.append(row)
    return wire_graph.answer(shown, total, str(skip + top) if skip + top < total else "")


def _is_asked(body: Mapping[str, Any], call: Call) -> bool:
    """Whether our subscription is among those that the query goes through; without any it is."""
    if arm.pick(body, "facets") or arm.pick(body, "managementGroups"):
        raise arm.invalid("facets and managementGroups are not offered", "leave them out")
    asked = arm.pick(body, "subscriptions") or []
    if not isinstance(asked, list) or not all(isinstance(each, str) for each in asked):
        raise arm.invalid("subscriptions is not a list of ids", "send a list, or leave it out")
    here = call.control.installation.subscription_id.lower()
    return not asked or here in {each.lower() for each in asked}


def _page(options: Mapping[str, Any]) -> tuple[int, int]:
    """(rows to skip, rows to show at most)."""
    form = arm.pick_text(options, "resultFormat") or _FORM
    if form.lower() != _FORM.lower():
        raise arm.invalid(f"resultFormat {form[:40]!r} is not offered", f"ask for {_FORM}")
    token = arm.pick_text(options, "$skipToken")
    if token and not (token.isascii() and token.isdigit() and len(token) <= 9):
        raise arm.invalid(f"{token[:40]!r} is no $skipToken of ours", "send it as it came")
    skip = int(token) if token else _number(options, "$skip", 0)
    return skip, min(_number(options, "$top", _USUAL, least=1), _MOST)  # none would never end


def _number(options: Mapping[str, Any], name: str, usual: int, least: int = 0) -> int:
    found = arm.pick(options, name)
    if found is None:
        return usual
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise arm.invalid(f"{name} is not a number of rows", f"send {least} or more")
    return found


def _rows(call: Call, table: str) -> Iterable[Row]:
    if table == TABLES[0]:
        return _vaults(call)
    return chain(_instances(call), _jobs(call))


def _vaults(call: Call) -> Iterator[Row]:
    found, regions = call.control.installation, call.control.regions
    for row in vaults.list_vaults(call.control, call.caller, None):
        told = wire.vault(found.subscription_id, found.tenant_id, row, regions)
        yield wire_graph.row(told, found.tenant_id, found.location)


def _instances(call: Call) -> Iterator[Row]:
    found, regions = call.control.installation, call.control.regions
    now = call.control.clock.now()
    for row in resource_graph.all_instances(call.control, call.caller):
        told = wire.instance(found.subscription_id, row, now)
        told = wire_graph.instance(told, found.location, regions)
        yield wire_graph.row(told, found.tenant_id, found.location)


def _jobs(call: Call) -> Iterator[Row]:
    found, now = call.control.installation, call.control.clock.now()
    for job in resource_graph.recent_jobs(call.control, call.caller):
        told = wire_jobs.job(found.subscription_id, job, now)
        yield wire_graph.row(told, found.tenant_id, found.location)
