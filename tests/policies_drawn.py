"""Policies drawn by chance, in Azure's own form: schedules, zones, all six fields of criteria."""

import random
from typing import Any

from oracle.almanac import WINDOWS
from zones import ZONES

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "June", "October", "December")
_FIRSTS = ("FirstOfDay", "FirstOfWeek", "FirstOfMonth", "FirstOfYear")
_KEPT = ("P1D", "P7D", "P14D", "P30D", "P1M", "P5W", "P13M", "P1Y", "P400D", "P10Y", "P1Y1M1D")
_PERIODS = ("PT1H", "PT4H", "PT6H", "P1D", "P1D", "P1D", "P2D", "P1W", "P2W", "P1M", "P3M", "P1Y")
_NAMES = [name for name in WINDOWS if name]


def a_zone(chance: random.Random) -> str:
    return chance.choice(chance.choice((ZONES, _NAMES)))


def an_interval(chance: random.Random, period: str = "") -> str:
    """It starts at a time that may be one of those that a clock leaps over, or shows twice."""
    year, month = chance.choice((2019, 2020, 2023, 2024, 2036)), chance.randint(1, 12)
    day = chance.choice((1, 15, 26, 28, 28, 29, 30, 31))
    if month == 2:
        day = min(day, 29 if year % 4 == 0 else 28)
    elif month in {4, 6, 9, 11}:
        day = min(day, 30)
    hour, minute = chance.randint(0, 23), chance.choice((0, 30, 59))
    offset = chance.choice(("+00:00", "+02:00", "-05:00", "+05:30", "Z"))
    start = f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:00{offset}"
    return f"R/{start}/{period or chance.choice(_PERIODS)}"


def criteria(chance: random.Random) -> dict[str, Any]:
    """One to three of the six fields; the rest null, as Terraform sends them."""
    fields: dict[str, Any] = {
        "absoluteCriteria": [chance.choice(_FIRSTS)],
        "daysOfMonth": chance.choice(
            ([{"date": 1}, {"date": 15}], [{"isLast": True}], [{"date": 31, "isLast": False}])
        ),
        "daysOfTheWeek": chance.sample(_DAYS, chance.randint(1, 3)),
        "weeksOfTheMonth": chance.sample(
            ("First", "Second", "Third", "Fourth", "Last"), chance.randint(1, 2)
        ),
        "monthsOfYear": chance.sample(_MONTHS, chance.randint(1, 4)),
        "scheduleTimes": [f"2024-0{chance.choice((1, 7))}-01T{chance.randint(0, 23):02}:30:00Z"],
    }
    chosen = chance.sample(list(fields), chance.randint(1, 3))
    if "scheduleTimes" in chosen and chance.random() < 0.8:
        chosen = ["absoluteCriteria"]
    return {name: fields[name] if name in chosen else None for name in fields}


def a_policy(
    chance: random.Random, periods: tuple[str, ...] = (), rules: int = 1
) -> dict[str, Any]:
    """Of so many backup rules, with one to four tags beside the default one."""
    tags = [f"Tag{n}" for n in range(chance.randint(1, 4))]
    backup = [_rule(chance, f"Rule{n}", tags, periods) for n in range(rules)]
    kept = [("Default", chance.choice(_KEPT)), *((tag, chance.choice(_KEPT)) for tag in tags)]
    return {
        "objectType": "BackupPolicy",
        "datasourceTypes": ["Microsoft.DBforPostgreSQL/flexibleServers"],
        "policyRules": [*backup, *(_retention(name, text) for name, text in kept)],
        "strongroom": {"startWithin": 0},
    }


def _rule(
    chance: random.Random, name: str, tags: list[str], periods: tuple[str, ...]
) -> dict[str, Any]:
    tagging = [
        {
            "isDefault": False,
            "taggingPriority": chance.choice((5, 10, 15, 20)),
            "tagInfo": {"id": f"{tag}_", "tagName": tag},
            "criteria": [criteria(chance) for _ in range(chance.randint(1, 2))],
        }
        for tag in tags
    ]
    default = {"isDefault": True, "taggingPriority": 99, "criteria": None}
    tagging.append({**default, "tagInfo": {"id": "Default_", "tagName": "Default"}})
    count = chance.choice((1, 1, 1, 2, 3))
    period = chance.choice(periods) if periods else ""
    schedule = {
        "repeatingTimeIntervals": [an_interval(chance, period) for _ in range(count)],
        "timeZone": a_zone(chance),
    }
    return {
        "objectType": "AzureBackupRule",
        "name": name,
        "backupParameters": {"objectType": "AzureBackupParams", "backupType": "Full"},
        "dataStore": {"objectType": "DataStoreInfoBase", "dataStoreType": "VaultStore"},
        "trigger": {
            "objectType": "ScheduleBasedTriggerContext",
            "schedule": schedule,
            "taggingCriteria": tagging,
        },
    }


def _retention(name: str, kept: str) -> dict[str, Any]:
    lifecycle = {
        "deleteAfter": {"objectType": "AbsoluteDeleteOption", "duration": kept},
        "sourceDataStore": {"objectType": "DataStoreInfoBase", "dataStoreType": "VaultStore"},
        "targetDataStoreCopySettings": [],
    }
    rule = {"objectType": "AzureRetentionRule", "name": name, "isDefault": name == "Default"}
    return {**rule, "lifecycles": [lifecycle]}
