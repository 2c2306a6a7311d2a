"""Queries as `az dataprotection` writes them, and what is refused.

Source: azure-cli-extensions, dataprotection 1.5.4, manual/backupcenter_helper.py.
"""

from typing import Any

import pytest

from strongroom.model.errors import Invalid
from strongroom.model.graph.query import LONGEST, Row, read_query

VAULTS = (
    "resources | where type =~ 'microsoft.dataprotection/backupvaults'"
    " | where resourceGroup in~ ('rg1') | where name in~ ('V1','v2')"
)
INSTANCES = (
    "RecoveryServicesResources | where type =~ "
    "'microsoft.dataprotection/backupvaults/backupinstances'"
    "| extend vaultName = split(split(id, '/Microsoft.DataProtection/backupVaults/')[1],'/')[0]"
    "| extend protectionState = properties.currentProtectionState"
    "| extend datasourceId = properties.dataSourceInfo.resourceID"
    " | where properties.dataSourceInfo.datasourceType in~ "
    "('Microsoft.DBforPostgreSQL/flexibleServers')"
    " | where vaultName in~ ('v1') | where protectionState in~ ('ProtectionConfigured')"
    " | where name in~ ('bi-1')"
)
JOBS = (
    "RecoveryServicesResources | where type =~ 'microsoft.dataprotection/backupvaults/backupjobs'"
    "| extend vaultName = properties.vaultName"
    "| extend status = properties.status"
    "| extend operation = case( tolower(properties.operationCategory) startswith 'backup' and "
    "properties.isUserTriggered == 'true', strcat('OnDemand',properties.operationCategory)"
    ", tolower(properties.operationCategory) startswith 'backup' and properties.isUserTriggered "
    "== 'false', strcat('Scheduled', properties.operationCategory)"
    ", type =~ 'microsoft.dataprotection/backupVaults/backupJobs', properties.operationCategory, "
    "'Invalid')"
    "| extend datasourceId = properties.dataSourceId"
)
HOME = "/subscriptions/s/resourceGroups/rg1/providers/Microsoft.DataProtection/backupVaults/v1"


def row(kind: str, name: str, **properties: Any) -> dict[str, Any]:
    place = HOME if kind == "backupvaults" else f"{HOME}/{kind}/{name}"
    whole = "microsoft.dataprotection/backupvaults"
    return {
        "id": place,
        "name": name,
        "type": whole if kind == "backupvaults" else f"{whole}/{kind}",
        "resourceGroup": "RG1",
        "properties": properties,
    }


def instance(name: str, state: str = "ProtectionConfigured") -> dict[str, Any]:
    source = {"datasourceType": "Microsoft.DBforPostgreSQL/flexibleServers", "resourceID": "/pg"}
    return row("backupinstances", name, currentProtectionState=state, dataSourceInfo=source)


def job(name: str, kind: str, start: str, *, by_hand: bool) -> dict[str, Any]:
    told = {"operationCategory": kind, "isUserTriggered": by_hand, "status": "Completed"}
    ends = {"startTime": start, "endTime": None, "vaultName": "v1"}
    return row("backupjobs", name, **told, **ends)


def ran(query: str, rows: list[Row]) -> list[Row]:
    asked = read_query(query)
    return [found for found in map(asked.run, rows) if found is not None]


def names(query: str, rows: list[dict[str, Any]]) -> list[str]:
    return [found["name"] for found in ran(query, rows)]


def test_vaults_are_found_by_group_and_name_whatever_the_case() -> None:
    rows = [row("backupvaults", "v1"), row("backupvaults", "v3"), instance("v2")]
    assert names(VAULTS, rows) == ["v1"]


def test_instances_are_found_by_what_is_worked_out_of_their_ids() -> None:
    rows = [instance("bi-1"), instance("bi-2"), instance("bi-1", "SoftDeleted")]
    (found,) = ran(INSTANCES, rows)
    assert found["vaultName"] == "v1"
    assert found["datasourceId"] == "/pg"
    assert found["properties"]["currentProtectionState"] == "ProtectionConfigured"


def test_jobs_are_told_apart_by_who_began_them_and_when() -> None:
    rows = [
        job("a", "Backup", "2026-01-02T00:00:00.0000000Z", by_hand=True),
        job("b", "Backup", "2026-01-03T00:00:00.0000000Z", by_hand=False),
        job("c", "Restore", "2026-01-04T00:00:00.0000000Z", by_hand=True),
    ]
    said = [found["operation"] for found in ran(JOBS, rows)]
    assert said == ["OnDemandBackup", "ScheduledBackup", "Restore"]
    assert names(f"{JOBS} | where operation in~ ('ondemandbackup')", rows) == ["a"]
    after = "| where properties.startTime > datetime(2026-01-03T00:00:00Z)"
    assert names(JOBS + after, rows) == ["c"]
    assert names(JOBS + "| where properties.endTime > datetime(2026-01-03T00:00:00Z)", rows) == []


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("name == 'bi-1'", True),
        ("name == 'BI-1'", False),
        ("name !~ 'BI-1'", False),
        ("nothing == ''", False),
        ("nothing != 'x'", True),
        ("not(name contains 'I-') or name != 'bi-1'", False),
        ("(name startswith 'BI') and tostring(properties['n']) == '3'", True),
        ("properties.n >= 2.5 and properties.n < 4", True),
        ("name !in ('bi-1') or toupper(name) in ('BI-1')", True),
        ("properties.list[1] == 'b' and properties.list[9] != 'b'", True),
        ("properties.on == true and name.deeper != 'x'", True),
        ("properties.at < datetime(2026-01-01) or 'x' > datetime(2026-01-01)", False),
        ("name", False),
    ],
)
def test_conditions(condition: str, *, found: bool) -> None:
    rows = [row("backupinstances", "bi-1", n=3, list=["a", "b"], on=True, at="2026-02-01")]
    query = f"resources | where {condition} | project name, more = strcat(name, 1, true)"
    told = ran(query, rows)
    assert told == ([{"name": "bi-1", "more": "bi-11true"}] if found else [])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "machines | where name == 'x'",
        "resources | summarize count()",
        "resources | where name matches regex '.*'",
        "resources | where name == 'x' limit 3",
        "resources | where name ==",
        "resources | where name in~ (name)",
        "resources | where name == 'it\\'s'",
        "resources | where x[1.5] == 'y'",
        "resources | where datetime('2026') == 'y'",
        "resources | where at > datetime(yesterday)",
        "resources | where hash(name) == 'y'",
        "resources | extend name",
        "resources; resources",
        "resources | where " + "(" * 50 + "name" + ")" * 50,
        "resources | where " + " and ".join(["name == 'x'"] * 110),
        "resources" + " " * LONGEST + "| where name == 'x'",
    ],
)
def test_what_is_not_read_is_refused(query: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_query(query)
    assert refused.value.hint


def test_texts_do_not_grow_without_bound() -> None:
    doubled = "".join(f" | extend a{n + 1} = strcat(a{n}, a{n})" for n in range(20))
    query = read_query(f"resources | extend a0 = 'xxxxxxxx'{doubled}")
    with pytest.raises(Invalid, match="strcat"):
        query.run(row("backupvaults", "v1"))
