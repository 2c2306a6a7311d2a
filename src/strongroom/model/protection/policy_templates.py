"""Policies that are there from the start, as ARM JSON."""

from typing import Any

from strongroom.model.protection.policy import DATASOURCE_TYPE

_STORE = {"objectType": "DataStoreInfoBase", "dataStoreType": "VaultStore"}


def ten_years_policy(backup_type: str = "Full") -> dict[str, Any]:
    """`ten-years`: every night, kept 14 days; the first of each week 8 weeks, of each month

    13 months, of each year 10 years.
    """
    tags = [("Yearly", 5, "FirstOfYear"), ("Monthly", 15, "FirstOfMonth")]
    tags.append(("Weekly", 20, "FirstOfWeek"))
    kept = [("Default", "P14D"), ("Weekly", "P8W"), ("Monthly", "P13M"), ("Yearly", "P10Y")]
    made = tagged_policy("BackupDaily", "R/2026-01-01T02:00:00+00:00/P1D", tags, kept)
    made["policyRules"][0]["backupParameters"]["backupType"] = backup_type
    return made


def azure_default_policy() -> dict[str, Any]:
    """Azure's own template for PostgreSQL: every week, kept three months."""
    return tagged_policy(
        "BackupWeekly", "R/2021-08-15T06:30:00+00:00/P1W", [], [("Default", "P3M")]
    )


def tagged_policy(
    rule: str, interval: str, tags: list[tuple[str, int, str]], kept: list[tuple[str, str]]
) -> dict[str, Any]:
    """ARM's JSON: one rule, (tag, priority, absolute criterion), (tag, how long)."""
    tagging = [_tag(name, priority, absolute) for name, priority, absolute in tags]
    schedule = {"repeatingTimeIntervals": [interval], "timeZone": "UTC"}
    backup = {
        "objectType": "AzureBackupRule",
        "name": rule,
        "backupParameters": {"objectType": "AzureBackupParams", "backupType": "Full"},
        "dataStore": _STORE,
        "trigger": {
            "objectType": "ScheduleBasedTriggerContext",
            "schedule": schedule,
            "taggingCriteria": [*tagging, _default_tag()],
        },
    }
    return {
        "objectType": "BackupPolicy",
        "datasourceTypes": [DATASOURCE_TYPE],
        "policyRules": [backup, *[_retention(name, duration) for name, duration in kept]],
    }


def with_window(properties: dict[str, Any], days: int) -> dict[str, Any]:
    """The same, and every second of so many days; 0: recovery points alone."""
    kept = [rule for rule in properties["policyRules"] if not _is_operational(rule)]
    added = [_retention("Default", f"P{days}D", "OperationalStore")] if days else []
    return {**properties, "policyRules": [*kept, *added]}


def _is_operational(rule: dict[str, Any]) -> bool:
    stores = [each.get("sourceDataStore") or {} for each in rule.get("lifecycles") or []]
    return any(store.get("dataStoreType") == "OperationalStore" for store in stores)


def _tag(name: str, priority: int, absolute: str) -> dict[str, Any]:
    return {
        "isDefault": False,
        "taggingPriority": priority,
        "tagInfo": {"id": f"{name}_", "tagName": name},
        "criteria": [
            {"objectType": "ScheduleBasedBackupCriteria", "absoluteCriteria": [absolute]}
        ],
    }


def _default_tag() -> dict[str, Any]:
    return {
        "isDefault": True,
        "taggingPriority": 99,
        "tagInfo": {"id": "Default_", "tagName": "Default"},
        "criteria": None,
    }


def _retention(name: str, duration: str, store: str = "VaultStore") -> dict[str, Any]:
    lifecycle = {
        "deleteAfter": {"objectType": "AbsoluteDeleteOption", "duration": duration},
        "sourceDataStore": {**_STORE, "dataStoreType": store},
        "targetDataStoreCopySettings": [],
    }
    return {
        "objectType": "AzureRetentionRule",
        "name": name,
        "isDefault": name == "Default",
        "lifecycles": [lifecycle],
    }
