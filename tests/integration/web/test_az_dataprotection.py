"""As `az dataprotection` goes about it: its requests, its versions, its pollers.

Source: Azure/azure-cli-extensions, src/dataprotection 1.5.4, which was run against a house of ours
once; the extension is in no package registry. Later versions of it say 2025-07-01.
"""

import time
import uuid
from typing import Any

import httpx
import pytest

from arm_story import GROUP_ID, GUIDS, Story, add_point, assignment_body, assignment_id
from arm_world import DATASOURCE, GROUP, SUBSCRIPTION, vault_id
from strongroom.catalog.tables.tables import servers
from strongroom.model.identities.access import LONG_TERM_RETENTION, READER
from strongroom.model.protection.policy_templates import azure_default_policy

SERVER = f"{GROUP_ID}/providers/{DATASOURCE}/pg-az"
VAULT = vault_id("v-az")
NAME = f"{VAULT}/backupInstances/pg-az-pg-az-{uuid.uuid1()}"
CLIENT = {
    "Accept": "application/json",
    "CommandName": "dataprotection backup-instance create",
    "ParameterSetName": "-g --vault-name --backup-instance",
    "User-Agent": "AZURECLI/2.91.0 (PIP) azsdk-python-core/1.41.0 Python/3.11",
}


class Extension:
    """A command of it: a request, then its poller; which of both headers has the last word."""

    def __init__(self, http: httpx.Client) -> None:
        self.http, self.version = http, {"api-version": "2024-04-01"}

    def get(self, url: str, **more: str) -> Any:
        answer = self.http.get(url, params={**self.version, **more}, headers=self._headers())
        assert answer.status_code == 200, answer.text
        return answer.json()

    def list(self, url: str, **more: str) -> list[dict[str, Any]]:
        told = self.get(url, **more)
        assert set(told) <= {"value", "nextLink"}
        found: list[dict[str, Any]] = told["value"]
        return found

    def put(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        """final-state-via azure-async-operation: then the resource is read."""
        answer = self._send("PUT", url, body)
        assert answer.status_code in {200, 201}, answer.text
        if "Azure-AsyncOperation" in answer.headers:
            self._poll(answer)
        found: dict[str, Any] = self.get(url)
        return found

    def post(self, url: str, body: dict[str, Any] | None) -> Any:
        """final-state-via location."""
        answer = self._send("POST", url, body)
        assert answer.status_code in {200, 202}, answer.text
        if answer.status_code == 200:
            return answer.json()
        self._poll(answer)
        last = self.http.get(answer.headers["Location"], headers=self._headers())
        assert last.status_code == 200, last.text
        return last.json()

    def delete(self, url: str) -> None:
        answer = self._send("DELETE", url, None)
        assert answer.status_code in {200, 202, 204}, answer.text
        if answer.status_code == 202:
            self._poll(answer)

    def _headers(self) -> dict[str, str]:
        return {**CLIENT, "x-ms-client-request-id": str(uuid.uuid1())}

    def _send(self, method: str, url: str, body: dict[str, Any] | None) -> httpx.Response:
        # Without a body a command sends `Content-Length: 0` and no type.
        return self.http.request(
            method, url, params=self.version, json=body, headers=self._headers()
        )

    def _poll(self, first: httpx.Response) -> None:
        for _ in range(200):
            answer = self.http.get(first.headers["Azure-AsyncOperation"], headers=self._headers())
            assert answer.status_code == 200, answer.text
            status = answer.json()["status"]
            if status.lower() == "succeeded":
                return
            assert status.lower() not in {"failed", "canceled"}, answer.text
            assert int(answer.headers["Retry-After"]) > 0
            time.sleep(0.05)
        raise AssertionError("it never ended")


@pytest.fixture
def az(story: Story) -> Extension:
    return Extension(story.http)


def initialized() -> dict[str, Any]:
    """What `backup-instance initialize` makes: nulls for what this kind of source has not."""
    return {
        "objectType": "BackupInstance",
        "friendlyName": "pg-az",
        "dataSourceInfo": {
            "datasourceType": DATASOURCE,
            "objectType": "Datasource",
            "resourceID": SERVER,
            "resourceLocation": "local",
            "resourceName": "pg-az",
            "resourceType": DATASOURCE,
            "resourceUri": SERVER,
        },
        "dataSourceSetInfo": None,
        "datasourceAuthCredentials": None,
        "policyInfo": {"policyId": f"{VAULT}/backupPolicies/pol", "policyParameters": None},
    }


def test_az_protects_backs_up_and_restores(az: Extension, story: Story) -> None:
    made = az.put(
        VAULT,
        {
            "identity": {"type": "SystemAssigned"},
            "location": "local",
            "properties": {
                "monitoringSettings": {
                    "azureMonitorAlertSettings": {"alertsForAllJobFailures": "Enabled"}
                },
                "securitySettings": {
                    "softDeleteSettings": {"retentionDurationInDays": 14.0, "state": "On"}
                },
                "storageSettings": [{"datastoreType": "VaultStore", "type": "LocallyRedundant"}],
            },
        },
    )
    assert made["properties"]["provisioningState"] == "Succeeded"
    group_list = f"{GROUP_ID}/providers/Microsoft.DataProtection/backupVaults"
    assert VAULT in {each["id"] for each in az.list(group_list)}
    policy = {"properties": {"name": "OssFlexiblePolicy1", **azure_default_policy()}}
    assert az.put(f"{VAULT}/backupPolicies/pol", policy)["properties"] == policy["properties"]

    story.put(SERVER, {"properties": {"strongroom": {"agentServer": "az"}}})
    story.world.agent_says(story.agent, "az")
    for role, scope, guid in (
        (LONG_TERM_RETENTION.id, SERVER, GUIDS[8]),
        (READER.id, GROUP_ID, GUIDS[9]),
    ):
        body = assignment_body(role, made["identity"]["principalId"])
        story.put(assignment_id(scope, guid), body)
    asked = initialized()  # as validate-for-backup says it
    asked["dataSourceInfo"]["resourceId"] = asked["dataSourceInfo"].pop("resourceID")
    without_nulls = {key: value for key, value in initialized().items() if value is not None}
    del without_nulls["policyInfo"]["policyParameters"]
    for body in (asked, without_nulls):  # `create` validates once more
        validated = az.post(f"{VAULT}/validateForBackup", {"backupInstance": body})
        assert validated["objectType"] == "OperationJobExtendedInfo"
    protected = az.put(NAME, {"properties": without_nulls})
    assert protected["properties"]["currentProtectionState"] == "ProtectionConfigured"
    assert [each["id"] for each in az.list(f"{VAULT}/backupInstances")] == [NAME]

    options = {"ruleName": "BackupWeekly", "triggerOption": {"retentionTagOverride": "Default"}}
    job = az.post(f"{NAME}/backup", {"backupRuleOptions": options})["jobId"]
    assert job in {each["id"] for each in az.list(f"{VAULT}/backupJobs")}
    assert az.get(job)["properties"]["operation"] == "Backup"
    _found_among_all(az, job)
    _restored(az, story)
    _stopped_and_gone(az)


def asked_of_all(az: Extension, query: str, **options: Any) -> dict[str, Any]:
    """`list-from-resourcegraph`, which has a client and a version of its own."""
    answer = az.http.post(
        "/providers/Microsoft.ResourceGraph/resources",
        params={"api-version": "2021-03-01"},
        json={
            "subscriptions": [SUBSCRIPTION],
            "query": query,
            "options": {"$top": 1000, "$skip": 0, "resultFormat": "objectArray", **options},
        },
        headers=az._headers(),
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told["count"] == len(told["data"])
    return told


def _found_among_all(az: Extension, job: str) -> None:
    """And what `--use-secondary-region` looks up there, before it asks the second region."""
    kind = "where type =~ 'microsoft.dataprotection/backupvaults"
    (vault,) = asked_of_all(az, f"resources | {kind}' | where name in~ ('V-AZ')")["data"]
    assert (vault["id"], vault["location"]) == (VAULT, "local")
    assert vault["properties"]["replicatedRegions"] == ["local2"]
    one = f"| where name in~ ('{NAME.rpartition('/')[2]}')"
    query = f"RecoveryServicesResources | {kind}/backupinstances'{one}"
    (instance,) = asked_of_all(az, query)["data"]
    assert (instance["id"], instance["resourceGroup"]) == (NAME, GROUP)
    extended = instance["properties"]["backupInstanceExtendedProperties"]
    assert extended == {"protectedPrimaryRegion": "local", "protectedSecondaryRegion": "local2"}
    on_demand = "| where properties.isUserTriggered == 'true'"
    query = f"RecoveryServicesResources | {kind}/backupjobs'{on_demand} | project id"
    assert {"id": job} in asked_of_all(az, query)["data"]


def test_pages_of_everything_follow_one_another(az: Extension, story: Story) -> None:
    query = "recoveryservicesresources | project id"
    whole = asked_of_all(az, query)
    assert whole["totalRecords"] >= 2
    found, options = [], {"$top": 1}
    while True:
        page = asked_of_all(az, query, **options)
        assert page["totalRecords"] == whole["totalRecords"]
        found += page["data"]
        if "$skipToken" not in page:
            break
        options = {"$top": 1, "$skipToken": page["$skipToken"]}
    assert found == whole["data"]
    _pages_while_rows_come_and_go(az, story)
    nobody = story.world.principal("az-nobody", [])
    with story.world.http(story.world.token(*nobody[1:])) as stranger:
        assert asked_of_all(Extension(stranger), query)["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": "resources | summarize count()"},
        {"query": "resources", "options": {"resultFormat": "table"}},
        {"query": "resources", "options": {"$skipToken": "-1"}},
        {"query": "resources", "options": {"$skipToken": "1"}},
        {"query": "resources", "options": {"$skipToken": "0~v~rg~~0~" + "9" * 5000}},
        {"query": "resources", "options": {"$top": "many"}},
        {"query": "resources", "options": {"$top": 0}},
        {"query": "resources", "subscriptions": "all"},
        {"query": "resources", "managementGroups": ["all"]},
    ],
)
def test_a_query_that_is_not_read_is_refused(az: Extension, body: dict[str, Any]) -> None:
    path = "/providers/Microsoft.ResourceGraph/resources"
    answer = az.http.post(path, params=az.version, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] in {"InvalidQuery", "BMSUserErrorInvalidInput"}


def _pages_while_rows_come_and_go(az: Extension, story: Story) -> None:
    """One before the place and the row at it: neither moves another."""
    query, options = "resources | project id", {"$top": 2}
    for name in ("m-2", "m-4", "m-6"):
        story.put(vault_id(name), {"location": "local"})
    whole = [each["id"] for each in asked_of_all(az, query)["data"]]
    first = asked_of_all(az, query, **options)
    assert first["data"] == [{"id": each} for each in whole[:2]]
    story.put(vault_id("a-0"), {"location": "local"})
    story.put(vault_id("m-5"), {"location": "local"})
    assert story.http.delete(whole[1], params=az.version).status_code == 200
    seen, told = whole[:2], first
    while "$skipToken" in told:
        told = asked_of_all(az, query, **options, **{"$skipToken": told["$skipToken"]})
        seen += [each["id"] for each in told["data"]]
    assert seen == sorted([*whole, vault_id("m-5")], key=str.lower)
    begun = [each["id"] for each in asked_of_all(az, query, **{"$skip": 1, "$top": 1})["data"]]
    assert begun == [whole[0]]


def _restored(az: Extension, story: Story) -> None:
    facts = {"version_number": 150005, "databases": {"shop": 1}}
    add_point(story.world, 0xA2, "Full", 1 << 20, facts, of=NAME.rpartition("/")[2])
    between = "startDate eq '2026-01-01T00:00:00.0000000Z' and endDate eq '2999-01-01T00:00:00Z'"
    (point,) = az.list(f"{NAME}/recoveryPoints", **{"$filter": between})
    assert az.get(point["id"])["properties"]["objectType"] == "AzureBackupDiscreteRecoveryPoint"
    asked = {
        "sourceDataStoreType": "VaultStore",
        "startTime": "2026-01-01T00:00:00",  # without an offset, as it was typed
        "endTime": "2026-11-28T00:00:00",
    }
    told = az.post(f"{NAME}/findRestorableTimeRanges", asked)
    assert told["properties"]["objectType"] == "AzureBackupFindRestorableTimeRangesResponse"
    wish = {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "recoveryPointId": point["name"],
        "restoreTargetInfo": {
            "objectType": "RestoreFilesTargetInfo",
            "recoveryOption": "FailIfExists",
            "restoreLocation": "local",
            "targetDetails": {
                "filePrefix": "mon",
                "restoreTargetLocationType": "AzureBlobs",
                "url": "https://acct.blob.core.windows.net/out?sp=rcw&sig=x",
            },
        },
        "sourceDataStoreType": "VaultStore",
    }
    with story.world.database.writing() as connection:  # an agent that is away is not waited for
        connection.execute(servers.update().values(seen_at=None))
    # `initialize-for-data-recovery`: all of a point into a server, which takes a logical one.
    source = initialized()["dataSourceInfo"]
    target = {"objectType": "RestoreTargetInfo", "datasourceInfo": source}
    into = {"restoreRequestObject": {**wish, "restoreTargetInfo": target}}
    answer = az.http.post(f"{NAME}/validateRestore", params=az.version, json=into)
    assert answer.status_code == 400, answer.text
    assert "choose a point of kind Logical" in answer.text
    validated = az.post(f"{NAME}/validateRestore", {"restoreRequestObject": wish})
    assert validated["objectType"] == "OperationJobExtendedInfo"
    job = az.post(f"{NAME}/restore", wish)["jobId"]
    assert az.get(job)["properties"]["operation"] == "Restore"
    story.world.agent_says(story.agent, "az")


def _stopped_and_gone(az: Extension) -> None:
    """It has no command but resume-protection for what was suspended, either."""
    for verb, body, state in (
        ("suspendBackups", None, "BackupSchedulesSuspended"),
        ("resumeProtection", None, "ProtectionConfigured"),
        ("stopProtection", None, "ProtectionStopped"),
        ("resumeProtection", None, "ProtectionConfigured"),
    ):
        az.post(f"{NAME}/{verb}", body)
        assert az.get(NAME)["properties"]["currentProtectionState"] == state
    az.delete(NAME)
    (deleted,) = az.list(f"{VAULT}/deletedBackupInstances")
    assert deleted["properties"]["currentProtectionState"] == "SoftDeleted"
    az.post(f"{deleted['id']}/undelete", None)
    assert az.get(NAME)["properties"]["currentProtectionState"] == "ProtectionStopped"
