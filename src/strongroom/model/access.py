"""Who may do what: Azure's role definitions, and the rule by which they are read.

Source: Microsoft, "Azure built-in roles", "Understand Azure role definitions".
"""

import functools
import re
from dataclasses import dataclass

import msgspec


class Caller(msgspec.Struct, kw_only=True, frozen=True):
    """Who asks, as their token proves."""

    principal_id: str
    name: str = ""
    address: str = ""  # from where
    second: str = ""  # the principal of the auxiliary token, who approves what is asked
    named: tuple[str, ...] | None = None  # resourceGuardOperationRequests; None: no body


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role: action patterns with `*`, less those that are taken out again."""

    id: str
    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()


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


@functools.lru_cache(4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.IGNORECASE)


def allows(role: RoleDefinition, action: str) -> bool:
    """Whether the role has the action, and does not take it out again."""
    has = any(_pattern(p).fullmatch(action) for p in role.actions)
    return has and not any(_pattern(p).fullmatch(action) for p in role.not_actions)


def allows_data(role: RoleDefinition, action: str) -> bool:
    """Whether the role has the data action."""
    return any(_pattern(p).fullmatch(action) for p in role.data_actions)


def look_action_of(action: str) -> str:
    """The action that lets somebody see what `action` is done to: 403 to them, 404 to others."""
    kind, _, verb = action.rpartition("/")
    return f"{kind.rpartition('/')[0]}/read" if verb == "action" else f"{kind}/read"


def scope_contains(scope: str, resource: str) -> bool:
    """Whether an assignment at `scope` counts for `resource`; `/sub/rg1` is not `/sub/rg10`."""
    outer, inner = scope.rstrip("/").lower(), resource.rstrip("/").lower()
    return outer in {"", inner} or inner.startswith(outer + "/")
