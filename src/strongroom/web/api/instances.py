"""Backup instances: validate, protect, back up, look at points, restore."""

import re
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from whenever import Instant

from strongroom.control.points import backups, recovery_points
from strongroom.control.protection import instances
from strongroom.control.resources.given_names import names_of_instance
from strongroom.control.restore import plans, restores, validations
from strongroom.model import arm
from strongroom.web.api import wire, wire_jobs
from strongroom.web.api.door import Asked, Body, Here, Vault, does, member
from strongroom.web.api.long_running import accepted, addresses
from strongroom.web.api.looking import answered, ended, validated
from strongroom.web.api.paging import Filter, Skip, answer, check_filter
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_INSTANCE = VAULT + "/backupInstances/{name}"
_DATE = re.compile(r"\b(startDate|endDate)\s+eq\s+'([^']{1,40})'", re.IGNORECASE)


@router.post(VAULT + "/validateForBackup", openapi_extra=does(instances.VALIDATE))
def validate(ref: Vault, body: Body, call: Asked) -> Response:
    """Could this server be protected now?"""
    asked = instances.read_instance(call.control, ref, member(body, "backupInstance"), None)
    operation = instances.validate_instance(call.control, call.caller, ref, asked, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.put(_INSTANCE, openapi_extra=does(instances.WRITE))
async def put_instance(
    name: str, ref: Vault, here: Here, body: Body, call: Asked, request: Request
) -> JSONResponse:
    """Protect a server. What is ready within a moment is answered as it is then."""
    run, properties, tags = request.app.state.run, member(body, "properties"), arm.read_tags(body)
    asked = instances.read_instance(call.control, ref, properties, tags)
    put = instances.put_instance, call.control, call.caller, ref, name, asked, call.key
    row, operation, is_new = await run(*put)
    await ended(request, call, operation)
    row = await run(instances.seen_again, call.control, row)
    headers = addresses(call.control, call.base, operation, call.version)
    answer = wire.instance(here, row, call.control.clock.now())
    return JSONResponse(answer, 201 if is_new else 200, headers)


@router.get(_INSTANCE, openapi_extra=does(instances.READ))
def get_instance(name: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """One backup instance."""
    row = instances.get_instance(call.control, call.caller, ref, name)
    return wire.instance(here, row, call.control.clock.now())


@router.get(VAULT + "/backupInstances", openapi_extra=does(instances.READ))
def list_instances(ref: Vault, here: Here, call: Asked, skip: Skip = "") -> Response:
    """The backup instances of a vault, by name, a hundred a page."""
    found, token = instances.list_instances(call.control, call.caller, ref, skip)
    now = call.control.clock.now()
    rows = [wire.instance(here, row, now) for row in found]
    return answer(call, rows, token)


@router.post(_INSTANCE + "/backup", openapi_extra=does(backups.ACTION))
def back_up(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """A backup on demand."""
    options = member(body, "backupRuleOptions")
    trigger = arm.pick_object(options, "triggerOption")
    operation = backups.trigger_backup(
        call.control,
        call.caller,
        ref,
        name,
        rule_name=arm.pick_text(options, "ruleName"),
        tag_override=arm.pick_text(trigger, "retentionTagOverride") or None,
        request_key=call.key,
        full=arm.pick_object(options, "strongroom").get("full") is True,
        backup_type=arm.pick_text(arm.pick_object(options, "strongroom"), "backupType"),
    )
    return accepted(call.control, call.base, operation, call.version)


@router.post(_INSTANCE + "/validateRestore", openapi_extra=does(restores.VALIDATE))
async def validate_restore(
    name: str, ref: Vault, body: Body, call: Asked, request: Request
) -> Response:
    """Could this restore begin now? The container of its files is looked into."""
    what = member(body, "restoreRequestObject"), call.key, restores.VALIDATE
    begin, asking = validations.begin_validation, (ref, name)
    made = await request.app.state.run(begin, call.control, call.caller, asking, what)
    return await validated(request, call, made)


@router.post(_INSTANCE + "/planRestore", openapi_extra=does(restores.VALIDATE))
async def plan_restore(
    name: str, ref: Vault, body: Body, call: Asked, request: Request
) -> dict[str, Any]:
    """What a restore would read, write and take, and what stands in its way."""
    run, control = request.app.state.run, call.control
    asked = member(body, "restoreRequestObject")
    question = await run(plans.begin_plan, control, call.caller, ref, name, asked)
    await answered(request, call, question)
    made = await run(plans.finish_plan, control, question)
    told: dict[str, Any] = msgspec.to_builtins(made)
    return told


@router.post(_INSTANCE + "/restore", openapi_extra=does(restores.RESTORE))
def restore(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """A restore."""
    operation = restores.trigger_restore(call.control, call.caller, ref, name, body, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.get(_INSTANCE + "/recoveryPoints", openapi_extra=does(recovery_points.ACTION))
def list_points(
    name: str, ref: Vault, here: Here, call: Asked, skip: Skip = "", wanted: Filter = ""
) -> Response:
    """Newest first, a hundred a page; `$filter` may name startDate and endDate."""
    found, token = recovery_points.page_recovery_points(
        call.control, call.caller, (ref, name), skip, read_between(wanted)
    )
    place = names_of_instance(call.control, ref, name)
    rows = [wire_jobs.recovery_point(here, *place, point) for point in found]
    return answer(call, rows, token, wanted)


def read_between(wanted: str) -> tuple[Instant | None, Instant | None]:
    """From when until when `$filter` asks for points."""
    check_filter(wanted, "startDate eq '2026-01-31T00:00:00Z' and endDate eq '...'", _DATE)
    return _date(wanted, "startDate"), _date(wanted, "endDate")


def _date(wanted: str, which: str) -> Instant | None:
    """One end of `startDate eq '2026-01-31T00:00:00Z' and endDate eq '...'`."""
    named = {key.lower(): text for key, text in _DATE.findall(wanted)}
    text = named.get(which.lower())
    return None if text is None else arm.read_instant(text, which)


@router.get(_INSTANCE + "/recoveryPoints/{point}", openapi_extra=does(recovery_points.ACTION))
def get_point(name: str, point: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """One recovery point."""
    found = recovery_points.get_recovery_point(call.control, call.caller, ref, name, point)
    place = names_of_instance(call.control, ref, name)
    return wire_jobs.recovery_point(here, *place, found)
