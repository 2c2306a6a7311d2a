"""Who may do what: Azure's role definitions, and the rule by which they are read.

Source: Microsoft, "Azure built-in roles", "Understand Azure role definitions".
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from strongroom.model import arm

MISSING_ROLES = "UserErrorMissingRequiredPermissions"  # Azure's code: of a vault's identity


class Caller(msgspec.Struct, kw_only=True, frozen=True):
    """Who asks, as their token proves."""

    principal_id: str
    name: str = ""
    address: str = ""  # from where
    groups: tuple[str, ...] = ()  # object ids of those that their issuer says they are in
    second: str = ""  # the principal of the auxiliary token, who approves what is asked
    named: tuple[str, ...] | None = None  # resourceGuardOperationRequests; None: no body

    @property
    def ids(self) -> tuple[str, ...]:
        """Whose roles they have: their own, and their groups'."""
        return (self.principal_id, *self.groups)


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role: action patterns with `*`, less those that are taken out again."""

    id: str
    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("/",)  # at and below which it can be given
    description: str = ""
    custom: bool = False

    @property
    def kind(self) -> str:
        """As Azure names it."""
        return "CustomRole" if self.custom else "BuiltInRole"

    def assignable(self, scope: str) -> bool:
        """Whether it can be given there."""
        return any(scope_contains(outer, scope) for outer in self.scopes)


_BACKUP = "Microsoft.DataProtection"
_SERVER = "Microsoft.DBforPostgreSQL/flexibleServers"

OWNER = RoleDefinition("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", ("*",))
CONTRIBUTOR = RoleDefinition(
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Contributor",
    ("*",),
    ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"),
)
READER = RoleDefinition("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", ("*/read",))
LONG_TERM_RETENTION = RoleDefinition(
    "c088a766-074b-43ba-90d4-1fb21feae531",
    "PostgreSQL Flexible Server Long Term Retention Backup Role",
    (
        f"{_SERVER}/read",
        f"{_SERVER}/ltrBackupOperations/read",
        f"{_SERVER}/ltrPreBackup/action",
        f"{_SERVER}/startLtrBackup/action",
        "Microsoft.DBforPostgreSQL/locations/azureAsyncOperation/read",
        "Microsoft.DBforPostgreSQL/locations/operationResults/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
    ),
)
BLOB_CONTRIBUTOR = RoleDefinition(
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Contributor",
    ("Microsoft.Storage/storageAccounts/blobServices/containers/*",),
    data_actions=("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*",),
)
BACKUP_CONTRIBUTOR = RoleDefinition(
    "5e467623-bb1f-42f4-a55d-6e525e11384b",
    "Backup Contributor",
    (f"{_BACKUP}/*", f"{_SERVER}/read", "Microsoft.Resources/*/read"),
)
BACKUP_OPERATOR = RoleDefinition(
    "00c29273-979b-4161-815c-10b084fb9324",
    "Backup Operator",
    (
        f"{_BACKUP}/*/read",
        f"{_BACKUP}/backupVaults/backupInstances/backup/action",
        f"{_BACKUP}/backupVaults/backupInstances/validateRestore/action",
        f"{_BACKUP}/backupVaults/backupInstances/restore/action",
        f"{_BACKUP}/backupVaults/backupInstances/findRestorableTimeRanges/action",
        f"{_BACKUP}/locations/checkFeatureSupport/action",
    ),
)
BACKUP_READER = RoleDefinition(
    "a795c7a0-d4a2-40c1-ae25-d81f01202912", "Backup Reader", (f"{_BACKUP}/*/read",)
)
MUA_ADMIN = RoleDefinition(
    "c2a970b4-16a7-4a51-8c84-8a8ea6ee0bb8",
    "Backup MUA Admin",
    (
        f"{_BACKUP}/resourceGuards/*",
        "Microsoft.Resources/*/read",
        "Microsoft.Authorization/*/read",
    ),
)
MUA_OPERATOR = RoleDefinition(
    "f54b6d04-23c6-443e-b462-9c16ab7b4a52",
    "Backup MUA Operator",
    (f"{_BACKUP}/resourceGuards/read", f"{_BACKUP}/resourceGuards/*/read"),
)

BUILT_IN = {
    role.id: role
    for role in (
        OWNER,
        CONTRIBUTOR,
        READER,
        LONG_TERM_RETENTION,
        BLOB_CONTRIBUTOR,
        BACKUP_CONTRIBUTOR,
        BACKUP_OPERATOR,
        BACKUP_READER,
        MUA_ADMIN,
        MUA_OPERATOR,
    )
}


_LEAST_FIRST = (
    BACKUP_READER,
    READER,
    BACKUP_OPERATOR,
    LONG_TERM_RETENTION,
    MUA_ADMIN,
    BACKUP_CONTRIBUTOR,
    CONTRIBUTOR,
)


def least_role(action: str) -> RoleDefinition:
    """The built-in role with the fewest rights that has the action; Owner has every one."""
    return next((role for role in _LEAST_FIRST if allows(role, action)), OWNER)


@functools.lru_cache(4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.IGNORECASE)


def allows(role: RoleDefinition, action: str) -> bool:
    """Whether the role has the action, and does not take it out again."""
    return _any(role.actions, action) and not _any(role.not_actions, action)


def allows_data(role: RoleDefinition, action: str) -> bool:
    """The same of a data action."""
    return _any(role.data_actions, action) and not _any(role.not_data_actions, action)


def _any(patterns: tuple[str, ...], action: str) -> bool:
    return any(_pattern(each).fullmatch(action) for each in patterns)


def look_action_of(action: str) -> str:
    """The action that lets somebody see what `action` is done to: 403 to them, 404 to others."""
    kind, _, verb = action.rpartition("/")
    return f"{kind.rpartition('/')[0]}/read" if verb == "action" else f"{kind}/read"


def scope_contains(scope: str, resource: str) -> bool:
    """Whether an assignment at `scope` counts for `resource`; `/sub/rg1` is not `/sub/rg10`."""
    outer, inner = scope.rstrip("/").lower(), resource.rstrip("/").lower()
    return outer in {"", inner} or inner.startswith(outer + "/")


_PATTERN = re.compile(r"[A-Za-z0-9.*]+(/[A-Za-z0-9.*]+)*")
_LISTS = ("actions", "notActions", "dataActions", "notDataActions")
_MOST_PATTERNS, _MOST_NAME, _MOST_DESCRIPTION = 500, 128, 1024


def read_role(role_id: str, properties: Mapping[str, Any], subscription: str) -> RoleDefinition:
    """A custom role as it was sent, checked."""
    name = arm.pick_text(properties, "roleName").strip()
    if not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        raise arm.invalid("the role has no usable roleName", "give it a name of its own")
    description = arm.pick_text(properties, "description")[:_MOST_DESCRIPTION]
    permissions = arm.pick(properties, "permissions")
    if not isinstance(permissions, list) or len(permissions) != 1:
        raise arm.invalid("permissions is not a list of one object", "send one set of actions")
    actions, not_actions, data, not_data = (_patterns(permissions[0], each) for each in _LISTS)
    scopes = arm.pick(properties, "assignableScopes")
    if not isinstance(scopes, list) or not scopes or not all(isinstance(s, str) for s in scopes):
        raise arm.invalid("assignableScopes names no scope", "name where it can be given")
    read = tuple(arm.read_scope(each, subscription) for each in scopes)
    if "/" in read:
        raise arm.invalid("a custom role cannot be for the root", "name the subscription")
    return RoleDefinition(
        id=role_id,
        name=name,
        actions=actions,
        not_actions=not_actions,
        data_actions=data,
        not_data_actions=not_data,
        scopes=read,
        description=description,
        custom=True,
    )


def _patterns(permission: object, key: str) -> tuple[str, ...]:
    found = arm.pick(permission, key) if isinstance(permission, Mapping) else None
    found = [] if found is None else found
    if not isinstance(found, list) or len(found) > _MOST_PATTERNS:
        raise arm.invalid(f"{key} is not a list of actions", "send strings such as */read")
    for each in found:
        if not isinstance(each, str) or len(each) > 256 or not _PATTERN.fullmatch(each):
            raise arm.invalid(f"{str(each)[:80]!r} is not an action", "write Provider/type/verb")
    return tuple(found)
