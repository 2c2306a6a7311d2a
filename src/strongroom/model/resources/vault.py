"""A backup vault as asked on the wire, read at the door: what we cannot keep is not promised.

Source: azure-mgmt-dataprotection 2.2.0, BackupVaultResource, BackupVault.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from strongroom.model import arm
from strongroom.model.errors import Invalid, Locked
from strongroom.model.fields import Fields
from strongroom.model.protection.starting import read_limits
from strongroom.model.resources.soft_delete import (
    ALWAYS_ON,
    LONGEST_DAYS,
    OFF,
    ON,
    SHORTEST_DAYS,
    soft_delete_of,
)

STORAGE_TYPES = ("LocallyRedundant", "ZoneRedundant", "GeoRedundant")
SOFT_DELETE = (OFF, ON, ALWAYS_ON)
IMMUTABILITY = ("Disabled", "Unlocked", "Locked")
COSTS = ("VaultLevel", "ProtectedItemLevel", "ProtectedItemWithParentTag")
ALERTS = ("Enabled", "Disabled")
NO_IDENTITY = "None"
_DATA_STORES = ("VaultStore", "OperationalStore", "ArchiveStore")


class VaultWish(msgspec.Struct, kw_only=True, frozen=True):
    """What a PUT or PATCH asks; `settings` in Azure's own form, canonical keys."""

    tags: dict[str, str] | None
    settings: dict[str, Any]


def read_vault(body: Mapping[str, Any]) -> VaultWish:
    """ARM's BackupVaultResource. Raises Invalid for what is wrong, or not offered."""
    kind = arm.pick_text(arm.pick_object(body, "identity"), "type")
    if kind.lower() not in {"", "none", "systemassigned", "systemassigned,userassigned"}:
        raise arm.invalid(f"identity type {kind[:60]!r} is not offered", "use SystemAssigned")
    asked = arm.pick_object(body, "properties")
    settings: dict[str, Any] = {"identityType": _identity(kind)} if kind else {}
    stores = arm.pick(asked, "storageSettings")
    if stores is not None:
        settings["storageSettings"] = _stores(stores)
    security = _security(arm.pick_object(asked, "securitySettings"))
    if security:
        settings["securitySettings"] = security
    monitoring = arm.pick_object(asked, "monitoringSettings")
    alerts = arm.pick_object(monitoring, "azureMonitorAlertSettings")
    for_jobs = _choice(alerts, "alertsForAllJobFailures", ALERTS)
    if for_jobs:
        settings["monitoringSettings"] = {
            "azureMonitorAlertSettings": {"alertsForAllJobFailures": for_jobs}
        }
    costs = arm.pick_object(asked, "costManagementSettings")
    told_by = _choice(costs, "granularityLevel", COSTS)
    if told_by:
        settings["costManagementSettings"] = {"granularityLevel": told_by}
    if arm.pick(asked, "strongroom") is not None:
        ours = Fields(arm.pick(asked, "strongroom"), "properties.strongroom")
        settings["strongroom"] = read_limits(ours)
    features = _features(arm.pick_object(asked, "featureSettings"))
    if features:
        settings["featureSettings"] = features
    return VaultWish(tags=arm.read_tags(body), settings=settings)


def _identity(kind: str) -> str:
    """A vault has its identity all the same: whoever asks for none is not shown it."""
    return NO_IDENTITY if kind.lower() == NO_IDENTITY.lower() else "SystemAssigned"


GEO = STORAGE_TYPES[2]
ENABLED, DISABLED, FOR_GOOD = "Enabled", "Disabled", "PermanentlyDisabled"
_REGIONS = ("featureSettings", "crossRegionRestoreSettings", "state")
_SUBSCRIPTIONS = ("featureSettings", "crossSubscriptionRestoreSettings", "state")


def merge(before: Mapping[str, Any], wish: Mapping[str, Any]) -> dict[str, Any]:
    """Settings after a change. Raises Locked where Azure's rule is that there is no way back."""
    after = _laid_over(before, wish)
    for path, last in (
        (("securitySettings", "immutabilitySettings", "state"), "Locked"),
        (("securitySettings", "softDeleteSettings", "state"), "AlwaysOn"),
        (_REGIONS, ENABLED),
        (_SUBSCRIPTIONS, FOR_GOOD),
    ):
        if _at(before, path) == last and _at(after, path) != last:
            raise Locked(
                f"{path[1]} is {last}, which cannot be taken back",
                hint="leave it as it is",
                code="BMSUserErrorInvalidInput",
            )
    was, now = soft_delete_of(before), soft_delete_of(after)
    if was.state == ALWAYS_ON and now.days < was.days:
        raise Locked(
            f"soft delete is {ALWAYS_ON} for {was.days:g} days, which cannot be shortened",
            hint="leave it as it is, or make it longer",
            code="BMSUserErrorInvalidInput",
        )
    if crosses_regions(after) and not _is_geo_redundant(after):
        raise arm.invalid(
            "cross-region restore needs a vault whose storage is GeoRedundant",
            "set storageSettings to a VaultStore of type GeoRedundant with it",
        )
    return after


def crosses_regions(settings: Mapping[str, Any]) -> bool:
    """Whether restores from the second copy are switched on."""
    return _at(settings, _REGIONS) == ENABLED


def _is_geo_redundant(settings: Mapping[str, Any]) -> bool:
    stores = settings.get("storageSettings") or ()
    return any(each["type"] == GEO for each in stores if each["datastoreType"] == _DATA_STORES[0])


def immutability_of(settings: Mapping[str, Any]) -> str:
    """Disabled, Unlocked or Locked; Azure's default is the first."""
    found = _at(settings, ("securitySettings", "immutabilitySettings", "state"))
    return str(found or IMMUTABILITY[0])


def _laid_over(before: Mapping[str, Any], wish: Mapping[str, Any]) -> dict[str, Any]:
    after = dict(before)
    for key, value in wish.items():
        known = after.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            after[key] = _laid_over(known, value)
        else:
            after[key] = value
    return after


def _at(settings: Mapping[str, Any], path: tuple[str, ...]) -> object:
    found: Any = settings
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _stores(value: object) -> list[dict[str, str]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise arm.invalid("storageSettings is not a list of objects", "send one VaultStore")
    return [
        {
            "datastoreType": _choice(item, "datastoreType", _DATA_STORES) or _DATA_STORES[0],
            "type": _choice(item, "type", STORAGE_TYPES) or STORAGE_TYPES[0],
        }
        for item in value
    ]


def _security(asked: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    encryption = arm.pick_object(asked, "encryptionSettings")
    if arm.pick_text(encryption, "state").lower() == "enabled":
        raise arm.invalid(
            "customer-managed keys are not offered",
            "leave encryptionSettings out: every recovery point is sealed to the instance's key",
        )
    deleting = arm.pick_object(asked, "softDeleteSettings")
    state = _choice(deleting, "state", SOFT_DELETE)
    if state:
        days = arm.pick(deleting, "retentionDurationInDays")
        found["softDeleteSettings"] = {"state": state, "retentionDurationInDays": _days(days)}
    locked = _choice(arm.pick_object(asked, "immutabilitySettings"), "state", IMMUTABILITY)
    if locked:
        found["immutabilitySettings"] = {"state": locked}
    return found


def _days(value: object) -> float:
    if value is None:
        return float(SHORTEST_DAYS)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not SHORTEST_DAYS <= value <= LONGEST_DAYS
    ):
        raise arm.invalid(
            "retentionDurationInDays is not a number of days that is offered",
            f"use {SHORTEST_DAYS} to {LONGEST_DAYS}",
        )
    return float(value)


def _features(asked: Mapping[str, Any]) -> dict[str, Any]:
    states = {
        "crossRegionRestoreSettings": (ENABLED, DISABLED),
        "crossSubscriptionRestoreSettings": (ENABLED, DISABLED, FOR_GOOD),
    }
    found = {
        name: _choice(arm.pick_object(asked, name), "state", known)
        for name, known in states.items()
    }
    return {name: {"state": state} for name, state in found.items() if state}


def _choice(body: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    found = arm.pick_text(body, name)
    if not found:
        return ""
    by_key = {value.lower(): value for value in allowed}
    if found.lower() not in by_key:
        raise Invalid(
            f"{name} {found[:60]!r} is unknown",
            hint=f"use one of {', '.join(allowed)}",
            code="BMSUserErrorInvalidInput",
        )
    return by_key[found.lower()]
