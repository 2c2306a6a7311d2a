"""A container of the installation's own storage account as the target of a restore as files.

The vault's identity opens it, as in Azure: with a role that writes blobs, at the container, the
account or above. Containers that the vault fills itself are no targets, whatever roles there are.
Source: Microsoft, "Restore Azure Database for PostgreSQL": Storage Blob Data Contributor.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.control.basis.access import granting, may_with_data
from strongroom.control.basis.control import Control
from strongroom.model.errors import (
    ObjectMissing,
    Precondition,
    StoreError,
    TargetNotEmpty,
    TargetRefused,
    VaultError,
)
from strongroom.model.identities.access import BLOB_CONTRIBUTOR
from strongroom.model.restore.files_place import container_of
from strongroom.model.work.plan import FilesLook

_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
_NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_OURS = re.compile(r"[0-9a-f]{32}|(audit|catalogue)-.*|exports")  # what this installation fills


def scope_of(control: Control, container: str) -> str:
    """Where a role for a container is given: its ARM id."""
    who = control.installation
    account = urlsplit(control.own_storage.url).path.strip("/")
    home = f"/subscriptions/{who.subscription_id}/resourceGroups/{who.resource_group}"
    account_id = f"{home}/providers/Microsoft.Storage/storageAccounts/{account}"
    return f"{account_id}/blobServices/default/containers/{container}"


def check_target(
    control: Control, connection: sa.Connection, found: Protection, url: str, *, signed: bool
) -> None:
    """Raise Precondition for a container of ours, without a signature, that may not be filled."""
    container = "" if signed else container_of(url, control.own_storage.url)
    if not container:
        return
    if not _NAME.fullmatch(container) or _OURS.fullmatch(container):
        raise Precondition(
            f"{container[:63]} is no container that files can be left in",
            hint="make one of its own: az storage container create",
        )
    principal, scope = found.vault_principal_id, scope_of(control, container)
    if may_with_data(connection, principal, _WRITE, scope):
        return
    role = BLOB_CONTRIBUTOR
    command = granting(role, scope, principal)
    raise Precondition(
        f"the vault's identity {principal} lacks {role.name!r} at {scope}, and the container's "
        "URL carries no signature (SAS)",
        hint=command,
        code="UserErrorMSIMissingPermissions",
        facts={"actions": [command], "missing": [{"roleId": role.id, "scope": scope}]},
    )


def check_free(control: Control, files: FilesLook) -> VaultError | None:
    """What files would run into in a container of ours: None, or that it is not there, or full."""
    container = container_of(files.url, control.own_storage.url)
    try:
        taken = control.own_storage.holds(container, files.names)
    except ObjectMissing:
        hint = f"make it: az storage container create --name {container}"
        return TargetRefused(f"there is no container {files.url}", hint=hint)
    except StoreError as error:
        return error
    if not taken:
        return None
    return TargetNotEmpty(
        f"{files.url} holds {taken[0]} already",
        hint="give another filePrefix or container: nothing is written over",
    )


def filled_by(control: Control, order: Mapping[str, Any]) -> str:
    """The container of ours that files of this order are left in; empty where there is none."""
    container = container_of(order.get("targetUrl", ""), control.own_storage.url)
    return "" if _OURS.fullmatch(container) else container


def signature_for(control: Control, order: Mapping[str, Any], identifier: str) -> str:
    """For the agent that fills a container of ours now; empty when none is, or may be any more.

    It ends with the epoch whose identifier it hangs on.
    """
    container, instance_id = filled_by(control, order), order["instanceId"]
    if not container:
        return ""
    with control.database.reading() as connection:
        principal = protection.by_id(connection, instance_id).vault_principal_id
        allowed = may_with_data(connection, principal, _WRITE, scope_of(control, container))
    return control.own_storage.sign(container, identifier) if allowed else ""
