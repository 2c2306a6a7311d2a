"""The restore wizard: four questions on one page, the plan beside them, then the act."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.requests import Request
from whenever import Instant

from strongroom.control.basis import long_running
from strongroom.control.basis.control import need_second
from strongroom.control.overview.offers import offers
from strongroom.control.points import recovery_points
from strongroom.control.resources import vault_roles
from strongroom.control.resources.vault_roles import Lacks
from strongroom.control.restore import plans, restores, secondary
from strongroom.control.restore.secondary import Place
from strongroom.control.wal import restorable_ranges, wal_timeline
from strongroom.control.wal.wal_timeline import WalTimeline
from strongroom.model.arm import VaultRef
from strongroom.model.errors import VaultError
from strongroom.model.ids import OperationId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.work.plan import RestorePlan
from strongroom.web.portal import seconds
from strongroom.web.portal.door import Form, Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.instances import find_ship
from strongroom.web.portal.places import (
    INSTANCE,
    InVault,
    instance_path,
    instance_scope,
    job_path,
)
from strongroom.web.portal.restore_form import FIELDS, request_of
from strongroom.web.portal.restore_words import command_of
from strongroom.web.portal.seconds import Seconds

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_LOOK_AGAIN_SECONDS = 0.1
_MOST_POINTS = 400
_LONGEST = 500
_HOURS = frozenset(map(str, seconds.HOURS))


@router.get("/restore")
def choose(visit: Guest, find: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Of what?"""
    word = find.lower().strip()
    ships = [ship for ship in visit.fleet.ships if ship.points and word in ship.name.lower()]
    if len(visit.fleet.ships) == 1 and ships:
        ship = ships[0]
        home = f"/instances/{ship.vault.resource_group}/{ship.vault.name}/{ship.name}"
        return visit.go(f"{home}/restore")
    return visit.page("restore_choose.html", ships=ships[:100], find=find, count=len(ships))


@router.get(INSTANCE + "/restore")
def ask(name: str, ref: InVault, visit: Guest) -> Response:
    """As it was when, what of it, where to? A link may fill in any field."""
    told = visit.request.query_params
    form = Form({key: [value[:_LONGEST]] for key, value in told.items() if key in FIELDS})
    return _page(visit, ref, name, form)


@router.post(INSTANCE + "/restore/plan")
async def plan(name: str, ref: InVault, visit: Guest, form: Sent, request: Request) -> Response:
    """What it would read, write and take, before anything is done."""
    run, asking = request.app.state.run, (ref, name)
    made, error = None, None
    try:
        made = await _plan(request, visit, asking, form)
    except VaultError as found:
        error = found
    answer: Response = await run(_answer, visit, asking, form, made, error)
    return answer


async def _plan(
    request: Request, visit: Visit, asking: tuple[InVault, str], form: Form
) -> RestorePlan:
    run, control = request.app.state.run, visit.control
    asked = request_of(form, visit.zone)
    place = _second(visit, asking, form)
    if place is not None:
        await run(secondary.need_point, control, visit.caller, place, form.text("point"))
    question = await run(plans.begin_plan, control, visit.caller, *asking, asked)
    until = control.clock.monotonic() + plans.LOOK_SECONDS
    while control.clock.monotonic() < until and not control.stopping.is_set():
        if await run(plans.is_answered, control, question):
            break
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    made: RestorePlan = await run(plans.finish_plan, control, question)
    return made


@router.post(INSTANCE + "/restore/roles")
async def give(name: str, ref: InVault, visit: Guest, form: Sent, request: Request) -> Response:
    """The vault's identity gets what it lacks for this restore; then the plan is worked out."""
    run, asking = request.app.state.run, (ref, name)
    try:
        await run(_give, visit, asking, form)
    except VaultError as error:
        refused: Response = await run(_answer, visit, asking, form, None, error)
        return refused
    return await plan(name, ref, visit, form, request)


def _give(visit: Visit, asking: tuple[VaultRef, str], form: Form) -> None:
    refused = _refused(visit, asking, form)
    if refused is not None:
        vault_roles.give(visit.control, visit.caller, asking[0], refused)


def _refused(visit: Visit, asking: tuple[VaultRef, str], form: Form) -> VaultError | None:
    """Why it could not begin now, where roles alone are the reason; nothing is begun."""
    asked = visit.control, visit.caller
    try:
        restores.validate_restore(*asked, *asking, request_of(form, visit.zone), "")
    except VaultError as error:
        return error if error.facts.get("missing") else None
    return None


@router.post(INSTANCE + "/restore")
def start(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Begin it, and follow the job. What stands in its way is said beside the questions."""
    try:
        operation = _begin(visit, (ref, name), form)
    except VaultError as error:
        return _page(visit, ref, name, form, None, error)
    row = long_running.get_operation(visit.control, visit.caller, operation)
    return visit.go(job_path(ref, row["result"]["jobId"]))


def _begin(visit: Visit, asking: tuple[VaultRef, str], form: Form) -> OperationId:
    request, place = request_of(form, visit.zone), _second(visit, asking, form)
    asked = (visit.control, visit.caller)
    if place is not None:
        return secondary.restore_from_second(*asked, place, request, "")
    return restores.trigger_restore(*asked, *asking, request, "")


def _second(visit: Visit, asking: tuple[VaultRef, str], form: Form) -> Place | None:
    """Where the second copy is, when that is what the form asks for."""
    if form.text("copy") != "second":
        return None
    return Place(*asking, need_second(visit.control).location)


def _answer(
    visit: Visit,
    asking: tuple[VaultRef, str],
    form: Form,
    made: RestorePlan | None,
    error: VaultError | None,
) -> Response:
    """The plan alone, or the whole page around it where there is no script."""
    if not visit.is_part:
        return _page(visit, *asking, form, made, error)
    return visit.page(
        "plan.html",
        plan=made,
        error=error,
        lacks=_lacks(visit, asking, form, made, error),
        home=instance_path(*asking),
        line=_line(visit, asking, form, made),
    )


def _line(visit: Visit, asking: tuple[VaultRef, str], form: Form, made: RestorePlan | None) -> str:
    """The command that does the same as the form, where it was planned."""
    if made is None:
        return ""
    request, second = request_of(form, visit.zone), form.text("copy") == "second"
    return command_of(find_ship(visit, *asking).server, request, second=second)


def _lacks(
    visit: Visit,
    asking: tuple[VaultRef, str],
    form: Form,
    made: RestorePlan | None,
    error: VaultError | None,
) -> Lacks | None:
    refused = _refused(visit, asking, form) if made is not None else error
    return vault_roles.lacks_of(visit.control, visit.caller, asking[0], refused)


def _page(
    visit: Visit,
    ref: InVault,
    name: str,
    form: Form,
    made: RestorePlan | None = None,
    error: VaultError | None = None,
) -> Response:
    place, wanted = (visit.control, visit.caller, ref, name), form.text("point")
    points = recovery_points.outline_recovery_points(*place, 1)
    chosen = points[0] if points else None
    if any(each.id == wanted for each in points[1:]):
        chosen = recovery_points.get_recovery_point(*place, wanted)
    scope = instance_scope(visit.control.installation.subscription_id, ref, name)
    actions = {"restore": restores.RESTORE, "find": restorable_ranges.FIND}
    may = offers(visit.control, visit.caller, scope, actions)
    timeline, shown = _log(visit, ref, name, points) if may["find"] else (None, None)
    return visit.page(
        "restore.html",
        200 if error is None else 400,
        ship=find_ship(visit, ref, name),
        points=points[:_MOST_POINTS],
        chosen=chosen,
        form=form,
        plan=made,
        second=secondary.offered_place(visit.control, visit.caller, ref, name),
        error=error,
        lacks=_lacks(visit, (ref, name), form, made, error),
        line=_line(visit, (ref, name), form, made),
        may=may,
        timeline=timeline,
        seconds=shown,
    )


def _log(
    visit: Visit, ref: InVault, name: str, points: Sequence[RecoveryPoint]
) -> tuple[WalTimeline, Seconds | None]:
    """What is kept of the log, and a picture of the hours that the address asks for."""
    told = visit.request.query_params
    hours = int(told.get("hours", "")) if told.get("hours") in _HOURS else seconds.HOURS[1]
    try:
        at = Instant.parse_iso(told["at"]) if told.get("at") else None
    except ValueError:
        at = None
    asking = (visit.control, visit.caller, ref, name)
    found = wal_timeline.find_second(*asking, None, points)
    around = seconds.window(found, at, hours)
    if around is None:
        return found, None
    wal_timeline.add_seconds(visit.control, visit.caller, (ref, name), around, found)
    return found, seconds.seconds_of(found, around)
