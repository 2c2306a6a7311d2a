"""Restores from the first endpoint, or from the second copy by Azure's operations for that."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Cancelled, Precondition
from strongroom.model.identities.access import MISSING_ROLES

FromSecond = Annotated[
    bool, Parameter(negative="", help="Read the second copy: the first endpoint is away.")
]


def points_of(vault: Vault, name: str, *, second: bool) -> list[dict[str, Any]]:
    """The recovery points of a protected server, or those that are whole at the second copy."""
    if not second:
        return vault.points(name)
    vault.need_instance(name)
    told = vault.rest.post(f"{_region(vault)}/fetchSecondaryRecoveryPoints", _source(vault, name))
    return [*told["value"], *vault.rest.list(str(told.get("nextLink") or ""))]


def validate(
    vault: Vault, name: str, request: dict[str, Any], *, second: bool, into: str = ""
) -> str:
    """Raises what the restore would. Gives nothing.

    Returns what the vault's identity lacks at the server `into` that is loaded, for people: it is
    given once they have agreed. Empty: nothing.
    """
    try:
        _validate(vault, name, request, second=second)
    except Precondition as error:
        if error.code != MISSING_ROLES or not into:
            raise
        return error.message
    return ""


def agree(question: str, lacks: str, *, yes: bool, nothing: str) -> bool:
    """Ask before anything is begun or given. Raises Cancelled with the words of `nothing`.

    `lacks`: what the vault's identity is given by a yes. Returns whether there is anything.
    """
    if lacks:
        console.note(f"{lacks}: with your yes it is given that")
    if not yes and console.is_watched() and not console.confirmed(question):
        raise Cancelled(nothing, hint="Answer y, or give --yes.")
    return bool(lacks)


def give(vault: Vault, name: str, request: dict[str, Any], *, second: bool, into: str) -> None:
    """The roles that `validate` told of, and a look whether all is there now."""
    vault.grant_roles(into)
    _validate(vault, name, request, second=second)


def _validate(vault: Vault, name: str, request: dict[str, Any], *, second: bool) -> None:
    if second:
        asked = _crossing(vault, name, request)
        vault.rest.post(f"{_region(vault)}/validateCrossRegionRestore", asked)
    else:
        asked = {"restoreRequestObject": request}
        vault.rest.post(f"{vault.instance(name)}/validateRestore", asked)


def begin(vault: Vault, name: str, request: dict[str, Any], *, second: bool) -> str:
    """The name of the job."""
    if second:
        asked = _crossing(vault, name, request)
        told = vault.rest.post(f"{_region(vault)}/crossRegionRestore", asked)
    else:
        told = vault.rest.post(f"{vault.instance(name)}/restore", request)
    return str(told["jobId"]).rpartition("/")[2]


def _crossing(vault: Vault, name: str, request: dict[str, Any]) -> dict[str, Any]:
    return {"restoreRequestObject": request, "crossRegionRestoreDetails": _source(vault, name)}


def _source(vault: Vault, name: str) -> dict[str, str]:
    region = vault.rest.get(vault.home)["location"]
    return {"sourceRegion": region, "sourceBackupInstanceId": vault.instance(name)}


def _region(vault: Vault) -> str:
    told = vault.second_copy()
    if "location" not in told:
        raise Precondition(
            f"there is no second copy to read: {told.get('error') or 'none is configured'}",
            hint="start serve with --second-url and --second-key, and see that it runs",
        )
    return f"{vault.group}/providers/Microsoft.DataProtection/locations/{told['location']}"
