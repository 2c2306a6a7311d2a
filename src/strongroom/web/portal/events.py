"""One stream for a page: what has changed on it, at most once a second. Source: HTML, 9.2."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from strongroom.control import jobs, rounds
from strongroom.control.fleet import see_fleet
from strongroom.model.arm import VaultRef
from strongroom.model.errors import VaultError
from strongroom.model.job import Job, JobStatus
from strongroom.web.portal import render, words
from strongroom.web.portal.door import Guest, PortalRoute, Visit, find_session

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_SECOND = 1.0
_FLEET_TURNS = 10  # looks at jobs for one look at every instance
Parts = dict[str, str]  # id -> HTML


@router.get("/portal/events")
async def events(
    request: Request,
    visit: Guest,
    page: Annotated[str, Query(max_length=20)] = "",
    job: Annotated[str, Query(max_length=300)] = "",
) -> StreamingResponse:
    """`part` {id, html} takes the place of a part; `again`: load the page anew; `clock`: alive."""
    stream = _stream(request, visit, page, job)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(request: Request, visit: Visit, page: str, job: str) -> AsyncIterator[str]:
    told: Parts = {}
    turn, run = 0, request.app.state.run
    ids: set[str] | None = None
    while not visit.control.stopping.is_set():
        try:
            parts, now_running = await run(_look, request, visit, page, job, turn)
        except VaultError:
            return
        if parts is None or (ids is not None and ids != now_running and page):
            yield "event: again\ndata: now\n\n"
            return
        ids = now_running
        for name, html in parts.items():
            if told.get(name) != html:
                told[name] = html
                data = json.dumps({"id": name, "html": html})
                yield f"event: part\ndata: {data}\n\n"
        now = visit.control.clock.now()
        yield f"event: clock\ndata: {words.clock(now, visit.zone)} {visit.zone}\n\n"
        turn += 1
        await asyncio.sleep(_SECOND)


def _look(
    request: Request, visit: Visit, page: str, job: str, turn: int
) -> tuple[Parts | None, set[str]]:
    """The parts as they are now, and which jobs are under way; None when the page is over."""
    if find_session(request, used=False) is None:
        return None, set()
    control, now = visit.control, visit.control.clock.now()
    parts: Parts = {}
    if turn % _FLEET_TURNS == 0:
        seen = see_fleet(control, visit.caller)
        parts["pulse"] = render.part_of("pulse.html", "pulse", seen)
        if page == "overview" and seen.ships:
            parts["answers"] = render.part_of("answers.html", "answers", seen)
    if job:
        found = _job(visit, job)
        if found.status is not JobStatus.IN_PROGRESS:
            return None, set()
        parts["progress"] = render.part_of("job_parts.html", "progress", found, now, visit.zone)
        return parts, {found.id}
    running = rounds.running_jobs(control, visit.caller) if page else []
    for each in running:
        row = render.part_of("job_parts.html", "job_row", each, now, visit.zone)
        parts[f"job-{each.id}"] = row
    return parts, {each.id for each in running}


def _job(visit: Visit, named: str) -> Job:
    group, _, rest = named.partition("/")
    vault, _, job_id = rest.partition("/")
    ref = VaultRef(resource_group=group, name=vault)
    return jobs.get_job(visit.control, visit.caller, ref, job_id)
