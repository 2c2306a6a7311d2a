"""Protect a server: which, under which policy, and then its first backup."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.requests import Request

from strongroom.control.basis import long_running
from strongroom.control.overview import fleet
from strongroom.control.overview.offers import offers
from strongroom.control.points import backups
from strongroom.control.protection import instances, protecting
from strongroom.control.protection.protecting import Candidate, Choice
from strongroom.control.resources import vault_roles
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import NotFound, VaultError
from strongroom.model.protection.protection_state import ABLE, CONFIGURING
from strongroom.web.portal.door import Form, Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.places import instance_path, job_path

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_SETTLES_SECONDS = 10.0  # then its own page says how it goes on
_LOOK_AGAIN_SECONDS = 0.1
T = TypeVar("T", Candidate, Choice)


@router.get("/protect")
def ask(visit: Guest, server: Annotated[str, Query(max_length=300)] = "") -> Response:
    """Which server, and under which policy?"""
    return _page(visit, Form({"server": [server]}))


@router.post("/protect")
async def start(visit: Guest, form: Sent, request: Request) -> Response:
    """Begin, and follow its first backup. What is missing is said beside the questions.

    With `give` the vault's identity gets the roles that the refusal before has named.
    """
    run = request.app.state.run
    try:
        vault, name = await run(_protect, visit, form)
    except VaultError as error:
        refused: Response = await run(_page, visit, form, error)
        return refused
    for _ in range(round(_SETTLES_SECONDS / _LOOK_AGAIN_SECONDS)):
        if await run(_state, visit, vault, name) != CONFIGURING:
            break
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return visit.go(await run(_begin, visit, vault, name))


def _protect(visit: Visit, form: Form) -> tuple[VaultRef, str]:
    asked = visit.control, visit.caller
    which = _named(protecting.candidates(*asked), form.text("server"), "server")
    under = _named(protecting.choices(*asked), form.text("under"), "policy")
    try:
        return under.vault, protecting.protect(*asked, which, under)
    except VaultError as error:
        if not form.has("give") or not error.facts.get("missing"):
            raise
        vault_roles.give(*asked, under.vault, error)
        return under.vault, protecting.protect(*asked, which, under)


def _named(found: Sequence[T], key: str, word: str) -> T:
    for each in found:
        if each.key == key:
            return each
    raise NotFound(f"there is no such {word} to choose", hint="choose one of those that are shown")


def _state(visit: Visit, vault: VaultRef, name: str) -> str:
    return str(instances.get_instance(visit.control, visit.caller, vault, name)["state"])


def _begin(visit: Visit, vault: VaultRef, name: str) -> str:
    """Where to look: at the first backup, or, where it cannot begin now, at the instance."""
    asked = visit.control, visit.caller
    row = instances.get_instance(*asked, vault, name)
    scope = arm.instance_id_of(visit.control.installation.subscription_id, vault, name)
    if row["state"] not in ABLE or not offers(*asked, scope, {"": backups.ACTION})[""]:
        return instance_path(vault, name)
    rule = fleet.first_rule(visit.control, row["policy_id"])
    operation = backups.trigger_backup(
        *asked, vault, name, rule_name=rule, tag_override=None, request_key=""
    )
    job = long_running.get_operation(*asked, operation)["result"]["jobId"]
    return job_path(vault, job)


def _page(visit: Visit, form: Form, error: VaultError | None = None) -> Response:
    asked = visit.control, visit.caller
    servers, policies = protecting.candidates(*asked), protecting.choices(*asked)
    chosen = next((each for each in servers if each.key == form.text("server")), None)
    under = next((each for each in policies if each.key == form.text("under")), None)
    scope = arm.subscription_id_of(visit.control.installation.subscription_id)
    lacks = None if under is None else vault_roles.lacks_of(*asked, under.vault, error)
    is_asked = lacks is not None and lacks.may_give  # a question, and no mistake of anybody
    return visit.page(
        "protect.html",
        200 if error is None or is_asked else 400,
        servers=servers,
        chosen=chosen or (servers[0] if servers else None),
        policies=policies,
        under=under or (policies[0] if policies else None),
        may=offers(*asked, scope, {"write": protecting.ACTION}),
        error=error,
        lacks=lacks,
    )
