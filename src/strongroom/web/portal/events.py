"""One stream for a page: what has changed on it, at most once a second. Source: HTML, 9.2."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from strongroom.control.overview.arriving import how_changes_arrive
from strongroom.control.protection import protecting
from strongroom.control.wal import wal_timeline
from strongroom.control.work import jobs, rounds
from strongroom.model.arm import VaultRef
from strongroom.model.errors import VaultError
from strongroom.model.work.job import ANY_JOB, Job, JobFilter, JobStatus
from strongroom.model.work.job_sample import lines_of
from strongroom.web.portal import job_rows, render, throughput, words
from strongroom.web.portal.door import Guest, PortalRoute, Visit, find_session
from strongroom.web.portal.jobs import ended_of, those_of, waiting_of, wanted_of
from strongroom.web.portal.live import Memory, live_parts
from strongroom.web.portal.needs import needs_of
from strongroom.web.portal.places import instance_path

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_SECOND = 1.0
FIRST, SERVERS, OVERVIEW, JOBS = "first", "servers", "overview", "jobs"
_LISTS = frozenset({OVERVIEW, JOBS})
_FLEET_TURNS = 10  # looks at jobs for one look at every instance
Parts = dict[str, str]  # id -> HTML


@dataclass(frozen=True, slots=True)
class Watch:
    """What a page follows: `page` one of those that lists stand on, one instance's id, or one job.

    wanted: which of the jobs that have ended the page of jobs shows.

    page servers: until there are more or fewer than `of` that could be protected; page first: or
    anything is.
    log: group/vault/name of an instance whose log comes in.
    """

    page: str = ""
    of: str = ""
    job: str = ""
    log: str = ""
    wanted: JobFilter = ANY_JOB


@dataclass(frozen=True, slots=True)
class Look:
    """The parts as they are; `ids` of jobs under way that the page is about."""

    parts: Parts
    ids: frozenset[str] = frozenset()


def _watch(
    page: Annotated[str, Query(max_length=20)] = "",
    of: Annotated[str, Query(max_length=64)] = "",
    job: Annotated[str, Query(max_length=300)] = "",
    log: Annotated[str, Query(max_length=500)] = "",
    *,
    wanted: Annotated[JobFilter, Depends(wanted_of)],
) -> Watch:
    return Watch(page, of, job, log, wanted)


@router.get("/portal/events")
async def events(
    request: Request, visit: Guest, watch: Annotated[Watch, Depends(_watch)]
) -> StreamingResponse:
    """`part` {id, html} takes the place of a part; `again`: load the page anew; `clock`: alive."""
    stream = _stream(request, visit, watch)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(request: Request, visit: Visit, watch: Watch) -> AsyncIterator[str]:
    told: Parts = {}
    memory = Memory()
    turn, run = 0, request.app.state.run
    before: frozenset[str] | None = None
    while not visit.control.stopping.is_set():
        try:
            look: Look | None = await run(_look, request, visit, watch, turn, memory)
        except VaultError:
            return
        if look is None or (watch.of and before not in (None, look.ids)):
            yield "event: again\ndata: now\n\n"
            return
        if before not in (None, look.ids):
            look.parts.update(await run(_changed, visit, watch, memory))
        before = look.ids
        for name, html in look.parts.items():
            if told.get(name) != html:
                told[name] = html
                data = json.dumps({"id": name, "html": html})
                yield f"event: part\ndata: {data}\n\n"
        now = visit.control.clock.now()
        yield f"event: clock\ndata: {words.clock(now, visit.zone)} {visit.zone}\n\n"
        turn += 1
        await asyncio.sleep(_SECOND)


def _look(request: Request, visit: Visit, watch: Watch, turn: int, memory: Memory) -> Look | None:
    """As it is now; None when the page is over."""
    if find_session(request, used=False) is None:
        return None
    parts: Parts = {}
    if turn % _FLEET_TURNS == 0:
        fresh = Visit(request, visit.session)
        if watch.page == FIRST and fresh.fleet.ships:
            return None
        parts |= _fleet_parts(fresh, watch, memory)
    if watch.page in {FIRST, SERVERS}:
        servers = protecting.candidates(visit.control, visit.caller)
        return Look(parts) if str(len(servers)) == watch.of else None
    if watch.job:
        told = _job_parts(visit, watch.job)
        return None if told is None else Look(parts | told)
    if not watch.page and not watch.of:
        return Look(parts)
    return _look_at_running(visit, watch, parts)


def _job_parts(visit: Visit, named: str) -> Parts | None:
    """Of one job; None when it has ended."""
    control, now, found = visit.control, visit.control.clock.now(), _job(visit, named)
    if found.status is not JobStatus.IN_PROGRESS:
        return None
    samples = jobs.samples_of(control, found)
    speed, lines = throughput.speed_of(found, samples, now), lines_of(found, samples)
    told = (found, job_rows.under_way(visit, [found])[0], now, visit.zone)
    return {
        "progress": render.part_of("job_parts.html", "progress", *told),
        "speed": render.part_of("job_parts.html", "speed_figure", speed),
        "log": render.part_of("job_parts.html", "log_table", lines, visit.zone),
    }


def _look_at_running(visit: Visit, watch: Watch, parts: Parts) -> Look:
    control, now = visit.control, visit.control.clock.now()
    running = those_of(rounds.running_jobs(control, visit.caller), watch.wanted)
    if watch.of:
        running = [each for each in running if each.instance_id == watch.of]
    if watch.of or watch.page in _LISTS:
        rows = (job_rows.under_way(visit, running), now, visit.zone, visit, watch.page == JOBS)
        parts["running"] = render.part_of("job_parts.html", "running_part", *rows)
    if watch.log:
        parts["stream"] = _stream_of(visit, watch.log)
    return Look(parts, frozenset(each.id for each in running))


def _changed(visit: Visit, watch: Watch, memory: Memory) -> Parts:
    """A job has begun or ended: what that makes anew, without waiting for the next turn."""
    return _fleet_parts(Visit(visit.request, visit.session), watch, memory)


def _fleet_parts(fresh: Visit, watch: Watch, memory: Memory) -> Parts:
    """What a look at every instance tells: the menu's counts and pulse, and lists of the page."""
    seen = fresh.fleet
    parts = {"pulse": render.part_of("pulse.html", "pulse", seen)}
    for path, many in fresh.counts.items():
        parts[f"count-{path[1:]}"] = render.part_of("menu.html", "tally", path, many)
    running = rounds.running_jobs(fresh.control, fresh.caller) if watch.page in _LISTS else []
    if watch.page == OVERVIEW and seen.ships:
        parts["answers"] = render.part_of("answers.html", "answers", seen)
        facts = {"visit": fresh, "now": fresh.now, "zone": fresh.zone}
        parts["needs"] = render.text_of("needs.html", facts | needs_of(fresh, running))
    parts |= live_parts(fresh, watch.page, memory)
    if watch.page == JOBS:
        due, told = waiting_of(fresh, running), ended_of(fresh, watch.wanted)
        waiting = (due["waiting"], due["next_at"], fresh.zone)
        parts["waiting"] = render.part_of("job_parts.html", "waiting_part", *waiting)
        count = render.part_of("job_parts.html", "ended_count", told["count"], rounds.MOST_JOBS)
        parts["ended-count"] = count
        rows = (told["ended"], told["count"], any(watch.wanted), fresh.zone, fresh)
        told_of = how_changes_arrive(fresh.control, fresh.fleet.ships)
        parts["arriving"] = render.part_of("job_parts.html", "arriving_part", told_of, fresh.zone)
        parts["ended-part"] = render.part_of("job_parts.html", "ended_part", *rows)
    return parts


def _stream_of(visit: Visit, named: str) -> str:
    group, _, rest = named.partition("/")
    vault, _, name = rest.partition("/")
    ref = VaultRef(resource_group=group, name=vault)
    told = wal_timeline.stream_state(visit.control, visit.caller, ref, name)
    return render.part_of("stream.html", "stream", told, instance_path(ref, name))


def _job(visit: Visit, named: str) -> Job:
    group, _, rest = named.partition("/")
    vault, _, job_id = rest.partition("/")
    ref = VaultRef(resource_group=group, name=vault)
    return jobs.get_job(visit.control, visit.caller, ref, job_id)
