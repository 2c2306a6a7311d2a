"""Answers that wait, for seconds: for an agent to look where a restore would go, for an end."""

import asyncio
from contextlib import suppress

from fastapi import Request
from fastapi.responses import Response

from strongroom.control.basis import long_running
from strongroom.control.restore import plans, validations
from strongroom.control.restore.plans import Looking
from strongroom.control.restore.validations import Validation
from strongroom.web.api.door import Call
from strongroom.web.api.long_running import accepted

_LOOK_AGAIN_SECONDS = 0.1
# Azure's clients look at once after the first answer, and then a second later: what is over by
# then keeps nobody waiting for that second.
_END_SECONDS = 2.0
_END_ELSEWHERE_SECONDS = 0.25  # so often it is looked for in the catalogue, should no bell ring


async def answered(request: Request, call: Call, asking: Looking) -> None:
    """Until the agent has said what it sees, for as long as somebody may be kept waiting."""
    control = call.control
    until = control.clock.monotonic() + plans.LOOK_SECONDS
    while control.clock.monotonic() < until and not control.stopping.is_set():
        if await request.app.state.run(plans.is_answered, control, asking):
            return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def ended(request: Request, call: Call, operation: str) -> None:
    """Until an operation that was just begun is over, or it takes longer than a moment."""
    control, rung = call.control, asyncio.Event()
    loop = asyncio.get_running_loop()
    until = loop.time() + _END_SECONDS

    def ring() -> None:
        loop.call_soon_threadsafe(rung.set)

    with control.ended.listening(operation, ring):
        while not await request.app.state.run(long_running.is_over, control, operation):
            if loop.time() >= until or control.stopping.is_set():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), _END_ELSEWHERE_SECONDS)


async def validated(request: Request, call: Call, made: Validation) -> Response:
    """202, with an operation that is over; or what stands in the way of the restore."""
    await answered(request, call, made)
    finish = validations.finish_validation
    operation = await request.app.state.run(finish, call.control, call.caller, made)
    return accepted(call.control, call.base, operation, call.version)
