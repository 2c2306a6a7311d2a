"""Backup instances: validate, protect, back up, look at points, restore."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from strongroom.control import backups, instances, recovery_points, restores
from strongroom.model import arm
from strongroom.model.errors import Invalid
from strongroom.web.api import wire
from strongroom.web.api.door import (
    ApiVersion,
    Base,
    Body,
    Here,
    Means,
    RequestKey,
    Vault,
    Who,
    properties_of,
)
from strongroom.web.api.long_running import accepted, addresses
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_INSTANCE = VAULT + "/backupInstances/{name}"


def _inner(body: dict[str, Any], name: str) -> dict[str, Any]:
    for key, value in body.items():
        if key.lower() == name.lower() and isinstance(value, dict):
            return value
    raise Invalid(f"the body has no {name}", hint=f"send {name}", code="InvalidRequestContent")


@router.post(VAULT + "/validateForBackup")
def validate(
    ref: Vault,
    control: Means,
    caller: Who,
    body: Body,
    base: Base,
    version: ApiVersion,
    key: RequestKey,
) -> Response:
    """Could this server be protected now?"""
    asked = instances.read_instance(_inner(body, "backupInstance"))
    operation = instances.validate_instance(control, caller, ref, asked, key)
    return accepted(control, base, operation, version)


@router.put(_INSTANCE)
def put_instance(
    name: str,
    ref: Vault,
    here: Here,
    control: Means,
    caller: Who,
    body: Body,
    base: Base,
    version: ApiVersion,
    key: RequestKey,
) -> JSONResponse:
    """Protect a server."""
    asked = instances.read_instance(properties_of(body))
    row, operation, is_new = instances.put_instance(control, caller, ref, name, asked, key)
    headers = addresses(control, base, operation, version)
    return JSONResponse(wire.instance(here, ref, row), 201 if is_new else 200, headers)


@router.get(_INSTANCE)
def get_instance(
    name: str, ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One backup instance."""
    del version
    return wire.instance(here, ref, instances.get_instance(control, caller, ref, name))


@router.get(VAULT + "/backupInstances")
def list_instances(
    ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The backup instances of a vault."""
    del version
    found = instances.list_instances(control, caller, ref)
    return {"value": [wire.instance(here, ref, row) for row in found]}


@router.post(_INSTANCE + "/backup")
def back_up(
    name: str,
    ref: Vault,
    control: Means,
    caller: Who,
    body: Body,
    base: Base,
    version: ApiVersion,
    key: RequestKey,
) -> Response:
    """A backup on demand."""
    options = _inner(body, "backupRuleOptions")
    trigger = options.get("triggerOption") or {}
    operation = backups.trigger_backup(
        control,
        caller,
        ref,
        name,
        rule_name=str(options.get("ruleName") or ""),
        tag_override=trigger.get("retentionTagOverride"),
        request_key=key,
    )
    return accepted(control, base, operation, version)


@router.post(_INSTANCE + "/validateRestore")
def validate_restore(
    name: str,
    ref: Vault,
    control: Means,
    caller: Who,
    body: Body,
    base: Base,
    version: ApiVersion,
    key: RequestKey,
) -> Response:
    """Could this restore begin now?"""
    asked = _inner(body, "restoreRequestObject")
    operation = restores.validate_restore(control, caller, ref, name, asked, key)
    return accepted(control, base, operation, version)


@router.post(_INSTANCE + "/restore")
def restore(
    name: str,
    ref: Vault,
    control: Means,
    caller: Who,
    body: Body,
    base: Base,
    version: ApiVersion,
    key: RequestKey,
) -> Response:
    """A restore."""
    operation = restores.trigger_restore(control, caller, ref, name, body, key)
    return accepted(control, base, operation, version)


@router.get(_INSTANCE + "/recoveryPoints")
def list_points(
    name: str,
    ref: Vault,
    here: Here,
    control: Means,
    caller: Who,
    base: Base,
    version: ApiVersion,
    skip: Annotated[str, Query(alias="$skipToken", max_length=64)] = "",
) -> dict[str, Any]:
    """Newest first, a hundred a page."""
    found = recovery_points.list_recovery_points(control, caller, ref, name)
    start = int(skip) if skip.isdigit() else 0
    page = found[start : start + 100]
    answer: dict[str, Any] = {
        "value": [wire.recovery_point(here, ref, name, point) for point in page]
    }
    if start + 100 < len(found):
        home = arm.instance_id_of(here, ref, name)
        answer["nextLink"] = (
            f"{base}{home}/recoveryPoints?api-version={version}&$skipToken={start + 100}"
        )
    return answer


@router.get(_INSTANCE + "/recoveryPoints/{point}")
def get_point(
    name: str,
    point: str,
    ref: Vault,
    here: Here,
    control: Means,
    caller: Who,
    version: ApiVersion,
) -> dict[str, Any]:
    """One recovery point."""
    del version
    found = recovery_points.get_recovery_point(control, caller, ref, name, point)
    return wire.recovery_point(here, ref, name, found)
