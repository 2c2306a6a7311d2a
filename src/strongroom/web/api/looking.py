"""Answers that wait, for seconds, until an agent has looked where a restore would go."""

import asyncio

from fastapi import Request
from fastapi.responses import Response

from strongroom.control.restore import plans, validations
from strongroom.control.restore.plans import Looking
from strongroom.control.restore.validations import Validation
from strongroom.web.api.door import Call
from strongroom.web.api.long_running import accepted

_LOOK_AGAIN_SECONDS = 0.1


async def answered(request: Request, call: Call, asking: Looking) -> None:
    """Until the agent has said what it sees, for as long as somebody may be kept waiting."""
    control = call.control
    until = control.clock.monotonic() + plans.LOOK_SECONDS
    while control.clock.monotonic() < until and not control.stopping.is_set():
        if await request.app.state.run(plans.is_answered, control, asking):
            return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def validated(request: Request, call: Call, made: Validation) -> Response:
    """202, with an operation that is over; or what stands in the way of the restore."""
    await answered(request, call, made)
    finish = validations.finish_validation
    operation = await request.app.state.run(finish, call.control, call.caller, made)
    return accepted(call.control, call.base, operation, call.version)
