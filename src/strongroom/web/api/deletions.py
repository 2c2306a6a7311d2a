"""Delete backup instances and recovery points, look at what was deleted, have it back."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.protection import deletions, purges
from strongroom.control.resources.given_names import names_of_instance
from strongroom.web.api import wire_deleted
from strongroom.web.api.door import Asked, Body, Here, Vault, does
from strongroom.web.api.long_running import accepted
from strongroom.web.api.paging import Skip, listed
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_INSTANCE = VAULT + "/backupInstances/{name}"
_DELETED = VAULT + "/deletedBackupInstances"
_DELETED_POINTS = _INSTANCE + "/deletedRecoveryPoints"


@router.delete(_INSTANCE, openapi_extra=does(deletions.DELETE))
def delete_instance(name: str, ref: Vault, call: Asked) -> Response:
    """No more backups, and its points go when it is purged."""
    operation = deletions.delete_instance(call.control, call.caller, ref, name, call.key)
    if operation is None:
        return Response(status_code=204)
    return accepted(call.control, call.base, operation, call.version)


@router.get(_DELETED, openapi_extra=does(deletions.READ))
def list_deleted_instances(ref: Vault, here: Here, call: Asked, skip: Skip = "") -> Response:
    """The soft-deleted backup instances of a vault, by name, a hundred a page."""
    now = call.control.clock.now()
    found = deletions.list_deleted(call.control, call.caller, ref)
    return listed(call, [wire_deleted.instance(here, *each, now) for each in found], skip)


@router.get(_DELETED + "/{name}", openapi_extra=does(deletions.READ))
def get_deleted_instance(name: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """One of them."""
    found = deletions.get_deleted(call.control, call.caller, ref, name)
    return wire_deleted.instance(here, *found, call.control.clock.now())


@router.post(_DELETED + "/{name}/undelete", openapi_extra=does(deletions.UNDELETE))
def undelete_instance(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Have it back, stopped, with all its points."""
    del body
    operation = deletions.undelete_instance(call.control, call.caller, ref, name, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.post(_DELETED + "/{name}/purge", openapi_extra=does(purges.PURGE))
def purge_instance(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """It goes for good now, with all its points: no longer to be had back."""
    del body
    operation = purges.purge_instance(call.control, call.caller, ref, name, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.delete(_INSTANCE + "/recoveryPoints/{point}", openapi_extra=does(deletions.DELETE_POINT))
def delete_point(name: str, point: str, ref: Vault, call: Asked) -> Response:
    """One recovery point; it goes when it is purged."""
    place = ref, name
    operation = deletions.delete_point(call.control, call.caller, place, point, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.get(_DELETED_POINTS, openapi_extra=does(deletions.READ_POINTS))
def list_deleted_points(name: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """The soft-deleted recovery points of a backup instance."""
    found = deletions.list_deleted_points(call.control, call.caller, ref, name)
    place = names_of_instance(call.control, ref, name)
    return {"value": [wire_deleted.point(here, *place, *each) for each in found]}


@router.post(_DELETED_POINTS + "/{point}/undelete", openapi_extra=does(deletions.UNDELETE_POINT))
def undelete_point(name: str, point: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Have one back."""
    del body
    place = ref, name
    operation = deletions.undelete_point(call.control, call.caller, place, point, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.post(_DELETED_POINTS + "/{point}/purge", openapi_extra=does(purges.PURGE_POINT))
def purge_point(name: str, point: str, ref: Vault, body: Body, call: Asked) -> Response:
    """One goes for good now."""
    del body
    place = ref, name
    operation = purges.purge_point(call.control, call.caller, place, point, call.key)
    return accepted(call.control, call.base, operation, call.version)
