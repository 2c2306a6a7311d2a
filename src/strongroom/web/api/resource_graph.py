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
from strongroom.model.arm import VaultRef
from strongroom.model.graph import place as graph_place
from strongroom.model.graph.place import Place, read_place
from strongroom.model.graph.query import TABLES, read_query
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
    after, skip, top = _page(arm.pick_object(body, "options"))
    rows = _rows(call, query.table) if _is_asked(body, call) else ()
    shown: list[Row] = []
    total, last, token = 0, after, ""
    for place, row in rows:
        found = query.run(row)
        if found is None:
            continue
        total += 1
        if total <= skip or (after is not None and place <= after):
            continue
        if len(shown) < top:
            shown.append(found)
            last = place
        elif last is not None:
            token = last.token
    return wire_graph.answer(shown, total, token)


def _is_asked(body: Mapping[str, Any], call: Call) -> bool:
    """Whether our subscription is among those that the query goes through; without any it is."""
    if arm.pick(body, "facets") or arm.pick(body, "managementGroups"):
        raise arm.invalid("facets and managementGroups are not offered", "leave them out")
    asked = arm.pick(body, "subscriptions") or []
    if not isinstance(asked, list) or not all(isinstance(each, str) for each in asked):
        raise arm.invalid("subscriptions is not a list of ids", "send a list, or leave it out")
    here = call.control.installation.subscription_id.lower()
    return not asked or here in {each.lower() for each in asked}


def _page(options: Mapping[str, Any]) -> tuple[Place | None, int, int]:
    """(behind which place it begins, rows to skip where behind none, rows to show at most)."""
    form = arm.pick_text(options, "resultFormat") or _FORM
    if form.lower() != _FORM.lower():
        raise arm.invalid(f"resultFormat {form[:40]!r} is not offered", f"ask for {_FORM}")
    after = read_place(arm.pick_text(options, "$skipToken"))
    skip = 0 if after is not None else _number(options, "$skip", 0)
    most = _number(options, "$top", _USUAL, least=1)  # none would never end
    return after, skip, min(most, _MOST)


def _number(options: Mapping[str, Any], name: str, usual: int, least: int = 0) -> int:
    found = arm.pick(options, name)
    if found is None:
        return usual
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise arm.invalid(f"{name} is not a number of rows", f"send {least} or more")
    return found


def _rows(call: Call, table: str) -> Iterable[tuple[Place, Row]]:
    if table == TABLES[0]:
        return _vaults(call)
    return chain(_instances(call), _jobs(call))


def _vaults(call: Call) -> Iterator[tuple[Place, Row]]:
    found, regions = call.control.installation, call.control.regions
    rows = vaults.list_vaults(call.control, call.caller, None)
    refs = [VaultRef(resource_group=row["resource_group"], name=row["name"]) for row in rows]
    placed = zip(map(graph_place.of_vault, refs), rows, strict=True)
    for place, row in sorted(placed, key=lambda each: each[0]):
        told = wire.vault(found.subscription_id, found.tenant_id, row, regions)
        yield place, wire_graph.row(told, found.tenant_id, found.location)


def _instances(call: Call) -> Iterator[tuple[Place, Row]]:
    found, regions = call.control.installation, call.control.regions
    now = call.control.clock.now()
    for vault, row in resource_graph.all_instances(call.control, call.caller):
        place = graph_place.of_instance(vault, row["name"])
        told = wire.instance(found.subscription_id, row, now)
        told = wire_graph.instance(told, found.location, regions)
        yield place, wire_graph.row(told, found.tenant_id, found.location)


def _jobs(call: Call) -> Iterator[tuple[Place, Row]]:
    found, now = call.control.installation, call.control.clock.now()
    for vault, job in resource_graph.recent_jobs(call.control, call.caller):
        told = wire_jobs.job(found.subscription_id, job, now)
        place = graph_place.of_job(vault, job.started_at, job.id)
        yield place, wire_graph.row(told, found.tenant_id, found.location)
