"""Multi-user authorization: which operations a resource guard protects, and what an approval is.

Source: azure-mgmt-dataprotection 2.2.0, ResourceGuard, ResourceGuardProxyBase; Microsoft,
"Multi-user authorization using Resource Guard". Operations and kinds of request marked `ours`
are not Azure's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from strongroom.model import arm
from strongroom.model.errors import Invalid
from strongroom.model.oversight.audit import canonical
from strongroom.model.resources.soft_delete import OFF, soft_delete_of
from strongroom.model.resources.vault import IMMUTABILITY, SOFT_DELETE, immutability_of

PROXY = "DppResourceGuardProxy"  # a vault has one, of this name
DEFAULT = "default"  # the one request object of each kind
REQUEST_HOURS = 72  # a request waits so long for a decision
GRANT_HOURS = 8  # an approval is good for so long, unless it is used before
MOST_HOURS = 72
UNLOCK_HOURS = 1
MOST_WAITING = 200  # requests at one guard
MOST_DELAY_HOURS = 72  # between an approval and the time from which it is good
_VAULT = "Microsoft.DataProtection/backupVaults"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A protected operation: Azure's name of it, and of the requests for it.

    `always`: no guard may exclude it. `deletes`: what it is asked for is its scope alone, so that
    `unlockDelete` can open it beforehand. `urgent`: an approval of it is good at once, whatever
    the guard's delay.
    """

    name: str
    kind: str
    words: str
    always: bool = False
    deletes: bool = False
    urgent: bool = False


REMOVE_GUARD = Guarded(
    f"{_VAULT}/backupResourceGuardProxies/delete",
    "deleteResourceGuardProxyRequests",
    "take the guard from the vault",
    always=True,
    deletes=True,
)
WEAKEN_SOFT_DELETE = Guarded(
    f"{_VAULT}/write#reduceSoftDeleteSecurity",
    "dppReduceSoftDeleteSecurityRequests",
    "disable or shorten soft delete",
    always=True,
)
WEAKEN_IMMUTABILITY = Guarded(
    f"{_VAULT}/write#reduceImmutabilityState",
    "dppReduceImmutabilityStateRequests",
    "unlock or disable immutability",
)
DELETE_INSTANCE = Guarded(
    f"{_VAULT}/backupInstances/delete",
    "deleteBackupInstanceRequests",
    "delete a backup instance with its data",
    deletes=True,
)
STOP_PROTECTION = Guarded(
    f"{_VAULT}/backupInstances/stopProtection/action",
    "dppStopProtectionRequests",
    "stop protection and keep what there is",
)
SUSPEND_BACKUPS = Guarded(
    f"{_VAULT}/backupInstances/suspendBackups/action",
    "dppSuspendBackupsRequests",
    "suspend backups while points go on to expire",
)
RESUME_PROTECTION = Guarded(  # ours
    f"{_VAULT}/backupInstances/resumeProtection/action",
    "resumeProtectionRequests",
    "resume protection, whereupon points past their time go",
)
CHANGE_POLICY = Guarded(
    f"{_VAULT}/backupInstances/write",
    "updateProtectedItemRequests",
    "give a backup instance a policy that keeps less",
)
LESS_RETENTION = Guarded(  # ours
    f"{_VAULT}/backupPolicies/write#reduceRetention",
    "updateProtectionPolicyRequests",
    "have a policy keep less",
)
DELETE_POINT = Guarded(  # ours
    f"{_VAULT}/backupInstances/recoveryPoints/delete",
    "deleteProtectedItemRequests",
    "delete a recovery point",
    deletes=True,
)
PURGE_INSTANCE = Guarded(  # ours
    f"{_VAULT}/deletedBackupInstances/purge/action",
    "purgeDeletedInstanceRequests",
    "purge a deleted backup instance before its time",
    always=True,
)
PURGE_POINT = Guarded(  # ours
    f"{_VAULT}/backupInstances/deletedRecoveryPoints/purge/action",
    "purgeDeletedPointRequests",
    "purge a deleted recovery point before its time",
    always=True,
)
RELEASE_EXPIRY = Guarded(  # ours
    f"{_VAULT}/backupInstances/releaseExpiry/action",
    "releaseExpiryRequests",
    "have points expire though one looks wrong",
)
RELEASE_HOLD = Guarded(  # ours
    f"{_VAULT}/legalHolds/delete", "releaseLegalHoldRequests", "release a legal hold", always=True
)
RESTORE = Guarded(
    f"{_VAULT}/backupInstances/restore/action",
    "dppTriggerRestoreRequests",
    "restore what was backed up",
    urgent=True,
)
MODIFY_ENCRYPTION = Guarded(
    f"{_VAULT}/write#modifyEncryptionSettings",
    "dppModifyEncryptionSettingsRequests",
    "seal the keys under another key-encryption key",
)
EXPORT_KEYS = Guarded(  # ours
    f"{_VAULT}/exportKeys/action", "exportKeysRequests", "export keys", always=True
)
WEAKEN_GUARD = Guarded(  # ours
    "Microsoft.DataProtection/resourceGuards/write#reduceProtection",
    "updateResourceGuardRequests",
    "have the guard protect less",
    always=True,
)
ADD_APPROVER = Guarded(  # ours
    "Microsoft.Authorization/roleAssignments/write#approver",
    "addApproverRequests",
    "let somebody else approve",
    always=True,
)
OPERATIONS = (
    REMOVE_GUARD,
    WEAKEN_SOFT_DELETE,
    WEAKEN_IMMUTABILITY,
    DELETE_INSTANCE,
    STOP_PROTECTION,
    SUSPEND_BACKUPS,
    RESUME_PROTECTION,
    CHANGE_POLICY,
    LESS_RETENTION,
    DELETE_POINT,
    PURGE_INSTANCE,
    PURGE_POINT,
    RELEASE_EXPIRY,
    RELEASE_HOLD,
    RESTORE,
    MODIFY_ENCRYPTION,
    EXPORT_KEYS,
    WEAKEN_GUARD,
    ADD_APPROVER,
)
BY_NAME = {operation.name.lower(): operation for operation in OPERATIONS}
BY_KIND = {operation.kind.lower(): operation for operation in OPERATIONS}
# What a client of Azure may exclude or ask for, and what means nothing here.
_OTHERS = "Microsoft.RecoveryServices/vaults/"
_OTHER_KINDS = {"disableSoftDeleteRequests", "getBackupSecurityPINRequests"}
KINDS = {operation.kind for operation in OPERATIONS} | _OTHER_KINDS


def read_exclusions(body: Mapping[str, Any]) -> list[str]:
    """`vaultCriticalOperationExclusionList` of a guard, in its order. Raises Invalid."""
    asked = arm.pick(arm.pick_object(body, "properties"), "vaultCriticalOperationExclusionList")
    if asked is None:
        return []
    if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
        raise _bad("vaultCriticalOperationExclusionList is not a list of names")
    return list(dict.fromkeys(map(_excluded, asked)))


def read_delay(body: Mapping[str, Any]) -> int | None:
    """`properties.strongroom.approvalDelayHours`, 0 to 72; None when it is not named.

    Raises Invalid.
    """
    ours = arm.pick_object(arm.pick_object(body, "properties"), "strongroom")
    asked = arm.pick(ours, "approvalDelayHours")
    if asked is None:
        return None
    if isinstance(asked, bool) or not isinstance(asked, int) or not 0 <= asked <= MOST_DELAY_HOURS:
        raise arm.invalid(
            f"approvalDelayHours is not a whole number from 0 to {MOST_DELAY_HOURS}",
            "send such as 24: so long an approval can be withdrawn before it is good",
        )
    return asked


def _excluded(name: str) -> str:
    known = BY_NAME.get(name.lower())
    if known is not None and known.always:
        raise _bad(f"{known.name} is always protected")
    if known is None and not name.lower().startswith(_OTHERS.lower()):
        raise _bad(f"{name[:120]!r} is no critical operation")
    return name if known is None else known.name


def protected(exclusions: Sequence[str]) -> list[Guarded]:
    """What a guard with these exclusions protects."""
    left_out = {name.lower() for name in exclusions}
    return [each for each in OPERATIONS if each.name.lower() not in left_out]


def request_id(guard_id: str, kind: str) -> str:
    """The default request object of a kind, as callers name it."""
    return f"{guard_id}/{kind}/{DEFAULT}"


def weakened(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Guarded]:
    """The protected operations that a change of a vault's settings is."""
    found = []
    if _rank(IMMUTABILITY, immutability_of(after)) < _rank(IMMUTABILITY, immutability_of(before)):
        found.append(WEAKEN_IMMUTABILITY)
    old, new = soft_delete_of(before), soft_delete_of(after)
    shorter = new.days < old.days and old.state != OFF
    if shorter or _rank(SOFT_DELETE, new.state) < _rank(SOFT_DELETE, old.state):
        found.append(WEAKEN_SOFT_DELETE)
    return found


def _rank(order: Sequence[str], state: str) -> int:
    return order.index(state)


def digest_of(operation: Guarded, scope: str, asked: Mapping[str, Any]) -> str:
    """What exactly is approved: another request has another digest."""
    told = {"operation": operation.name, "scope": scope.rstrip("/").lower(), "asked": asked}
    return blake3(canonical(told)).hexdigest()


def _bad(message: str) -> Invalid:
    return Invalid(
        message,
        hint="exclude only what may be: docs/azure-compatibility.md lists the operations",
        code="BMSUserErrorInvalidCriticalOperationExclusionList",
    )
