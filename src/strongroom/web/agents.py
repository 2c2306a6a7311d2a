"""The agents' API: they call in, with a token of their own kind that opens no ARM route."""

import asyncio
import re
from contextlib import suppress
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response

from strongroom.control.basis.control import Control
from strongroom.control.wal import wal
from strongroom.control.work import agents, resumes
from strongroom.model.errors import Invalid, Unauthenticated
from strongroom.model.ids import AgentId
from strongroom.model.wal import WalReport, WalRequest
from strongroom.model.work.operation import (
    Completion,
    EnrolRequest,
    Failure,
    Heartbeat,
    KeysRequest,
    LeaseRequest,
    ParentRequest,
)
from strongroom.model.work.resume import ResumeRequest

router = APIRouter(prefix="/agents", include_in_schema=False)
_LONGEST_WAIT = 30.0  # seconds
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # no database keeps it in a text
_LOOK_SECONDS = 1.0  # how often a call looks for work that another process has put up
M = TypeVar("M", bound=msgspec.Struct)


def _control(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


Means = Annotated[Control, Depends(_control)]


def _agent(
    request: Request, control: Means, authorization: Annotated[str, Header()] = ""
) -> AgentId:
    kind, _, token = authorization.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Unauthenticated("an agent's call carries its bearer token")
    agent = agents.authenticate_agent(control, token)
    request.state.caller = f"agent:{agent}"
    request.app.state.pace.take(request.state.caller)
    return agent


Agent = Annotated[AgentId, Depends(_agent)]


async def _body(request: Request) -> bytes:
    return await request.body()


Bytes = Annotated[bytes, Depends(_body)]


def _read(raw: bytes, kind: type[M]) -> M:
    if _NUL.search(raw):
        raise Invalid(f"not a {kind.__name__}: a string in it holds a NUL character")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid(f"not a {kind.__name__}: {str(error)[:200]}") from error


def _answer(message: msgspec.Struct | None) -> Response:
    if message is None:
        return Response(status_code=204)
    return Response(msgspec.json.encode(message), media_type="application/json")


@router.post("/enrol")
def enrol(control: Means, raw: Bytes) -> Response:
    """A one-time token buys an identity."""
    return _answer(agents.enrol_agent(control, _read(raw, EnrolRequest)))


@router.post("/lease")
async def lease(request: Request, control: Means, agent: Agent, raw: Bytes) -> Response:
    """Long poll for work; who has hung up is given none. No thread waits for anybody."""
    run, asked = request.app.state.run, _read(raw, LeaseRequest)
    until = control.clock.monotonic() + min(max(asked.wait_seconds, 0.0), _LONGEST_WAIT)
    await run(agents.note_call, control, agent, asked)
    rung, loop = asyncio.Event(), asyncio.get_running_loop()
    with control.offered.listening(agent, lambda: _ring(loop, rung)):
        while not await request.is_disconnected():
            rung.clear()
            found = await run(agents.lease_operation, control, agent, asked.session, asked.ask)
            at_end = control.stopping.is_set() or control.clock.monotonic() >= until
            if found is not None or at_end:
                return _answer(found)
            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), _LOOK_SECONDS)
    return _answer(None)


def _ring(loop: asyncio.AbstractEventLoop, rung: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop has ended, and its calls with it
        loop.call_soon_threadsafe(rung.set)


@router.post("/operations/{operation_id}/heartbeat")
def heartbeat(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """Alive, and this far."""
    return _answer(agents.heartbeat(control, agent, operation_id, _read(raw, Heartbeat)))


@router.post("/operations/{operation_id}/keys")
def keys(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """Content keys of one restore."""
    return _answer(agents.release_keys(control, agent, operation_id, _read(raw, KeysRequest)))


@router.post("/operations/{operation_id}/parent")
def parent(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """What an increment leans on."""
    return _answer(agents.open_parent(control, agent, operation_id, _read(raw, ParentRequest)))


@router.post("/operations/{operation_id}/resume")
def resume(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """What earlier tries of a backup have stored."""
    return _answer(resumes.open_resume(control, agent, operation_id, _read(raw, ResumeRequest)))


@router.post("/operations/{operation_id}/wal")
def report_wal(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """What a stream has put into storage."""
    return _answer(wal.report_wal(control, agent, operation_id, _read(raw, WalReport)))


@router.post("/operations/{operation_id}/wal-keys")
def wal_keys(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """What a recovery reads of the log."""
    return _answer(wal.open_wal(control, agent, operation_id, _read(raw, WalRequest)))


@router.post("/operations/{operation_id}/complete")
def complete(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """Done."""
    agents.complete_operation(control, agent, operation_id, _read(raw, Completion))
    return _answer(None)


@router.post("/operations/{operation_id}/fail")
def fail(operation_id: str, control: Means, agent: Agent, raw: Bytes) -> Response:
    """Could not."""
    agents.fail_operation(control, agent, operation_id, _read(raw, Failure))
    return _answer(None)
