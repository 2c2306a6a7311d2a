"""As the azurerm provider of Terraform goes about it: bodies, poller, what it takes for granted.

Source: hashicorp/terraform-provider-azurerm, internal/services/dataprotection, and the poller of
hashicorp/go-azure-sdk.
"""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from arm_story import GROUP_ID, GUIDS, Story, assignment_body, assignment_id
from arm_world import DATASOURCE, SUBSCRIPTION, vault_id
from strongroom.model.identities.access import LONG_TERM_RETENTION

VERSION = {"api-version": "2025-07-01"}
NAME = f"{vault_id()}/backupInstances/tf"
SERVER = f"{GROUP_ID}/providers/{DATASOURCE}/pg-tf"
DONE, CREATING, UPDATING = "ProtectionConfigured", "ConfiguringProtection", "UpdatingProtection"


class Provider:
    """What of the provider's client matters."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, url: str) -> httpx.Response:
        return self.http.get(url, params=VERSION)

    def put(self, url: str, body: dict[str, Any]) -> None:
        answer = self.http.put(url, params=VERSION, json=body)
        assert answer.status_code in {200, 201, 202}, answer.text
        self._poll(answer.headers)

    def _poll(self, headers: httpx.Headers) -> None:
        """Azure-AsyncOperation, of which only path and query count, until it is over."""
        assert int(headers["Retry-After"]) >= 1
        place = urlsplit(headers["Azure-AsyncOperation"])
        assert place.scheme, "absolute"
        assert place.netloc, "absolute"
        for _ in range(60):
            answer = self.http.get(f"{place.path}?{place.query}")
            assert answer.status_code == 200, answer.text
            assert answer.headers["Content-Type"].startswith("application/json")
            status = answer.json()["status"]
            if status == "Succeeded":
                return
            assert status not in {"Failed", "Canceled"}, answer.text
            assert int(answer.headers["Retry-After"]) >= 1
            time.sleep(0.1)
        raise AssertionError("it never ended")

    def act(self, url: str, body: dict[str, Any] | None) -> None:
        answer = self.http.post(url, params=VERSION, json=body)
        assert answer.status_code in {200, 202}, answer.text
        self._poll(answer.headers)

    def until_done(self, url: str, waiting: str) -> dict[str, Any]:
        """Any other state on the way than the one of a creation, or of an update, is an error."""
        for _ in range(60):
            found: dict[str, Any] = self.get(url).json()
            state = found["properties"]["currentProtectionState"]
            if state == DONE:
                return found
            assert state == waiting
            time.sleep(0.1)
        raise AssertionError(state)

    def delete(self, url: str) -> None:
        """It looks at no header: it asks for the resource until that is gone."""
        assert self.http.delete(url, params=VERSION).status_code in {200, 202, 204}
        for _ in range(60):
            status = self.get(url).status_code
            if status == 404:
                return
            assert status == 200
            time.sleep(0.1)
        raise AssertionError("it is still there")


@pytest.fixture(scope="module")
def provider(story: Story) -> Provider:
    story.put(SERVER, {"properties": {"strongroom": {"agentServer": "tf"}}})
    story.world.agent_says(story.agent, "tf")
    role = assignment_id(SERVER, GUIDS[7])
    story.put(role, assignment_body(LONG_TERM_RETENTION.id, story.identity))
    return Provider(story.http)


def source(kind: str, server: str) -> dict[str, Any]:
    return {
        "datasourceType": DATASOURCE,
        "objectType": kind,
        "resourceID": server,
        "resourceLocation": "local",
        "resourceName": "pg-tf",
        "resourceProperties": None,
        "resourceType": DATASOURCE,
        "resourceUri": server,
    }


def instance(policy: str, server: str = SERVER) -> dict[str, Any]:
    """As recorded from the provider: an empty objectType, nulls, both kinds of source."""
    return {
        "properties": {
            "dataSourceInfo": source("Datasource", server),
            "dataSourceSetInfo": source("DatasourceSet", server),
            "datasourceAuthCredentials": None,
            "friendlyName": "tf",
            "objectType": "",
            "policyInfo": {"policyId": f"{vault_id()}/backupPolicies/{policy}"},
        }
    }


def test_an_instance_from_nothing_through_an_update_to_nothing(provider: Provider) -> None:
    absent = provider.get(NAME)
    assert absent.status_code == 404
    assert absent.json()["error"]["code"] == "ResourceNotFound"

    provider.put(NAME, instance("pgflex", SERVER.lower().replace("pg-tf", "PG-tf")))
    found = provider.until_done(NAME, CREATING)
    told = found["properties"]
    assert told["policyInfo"]["policyId"] == f"{vault_id()}/backupPolicies/pgflex"
    assert told["dataSourceInfo"]["resourceID"] == SERVER
    assert told["dataSourceSetInfo"]["resourceID"] == SERVER

    found["properties"]["policyInfo"]["policyId"] = f"{vault_id()}/backupPolicies/spare"
    provider.put(NAME, found)
    changed = provider.until_done(NAME, UPDATING)["properties"]
    assert changed["policyInfo"]["policyId"].endswith("/spare")

    for verb, body, state in (  # azurerm_data_protection_backup_instance_protect
        ("stopProtection", {}, "ProtectionStopped"),
        ("resumeProtection", None, DONE),
        ("suspendBackups", {}, "BackupSchedulesSuspended"),
        ("resumeBackups", None, DONE),
    ):
        provider.act(f"{NAME}/{verb}", body)
        assert provider.get(NAME).json()["properties"]["currentProtectionState"] == state

    imported = provider.get(NAME).json()  # by its id; what the provider reads of it is all there
    assert imported["id"] == NAME
    source_info = imported["properties"]["dataSourceInfo"]
    assert (source_info["resourceLocation"], source_info["resourceID"]) == ("local", SERVER)

    provider.delete(NAME)
    assert provider.http.delete(NAME, params=VERSION).status_code == 204


def vault_body(**more: Any) -> dict[str, Any]:
    """As the provider makes it: all that it manages, each time."""
    security = {
        "immutabilitySettings": {"state": "Disabled"},
        "softDeleteSettings": {"retentionDurationInDays": 14, "state": "On"},
    }
    store = {"datastoreType": "VaultStore", "type": "GeoRedundant"}
    properties = {"securitySettings": security, "storageSettings": [store]}
    body = {"identity": {"type": "None", "userAssignedIdentities": None}, "location": "Lo cal"}
    return {**body, "properties": properties, "tags": {}} | more


def test_a_vault_from_nothing_through_updates_to_nothing(provider: Provider) -> None:
    url = vault_id("tf-vault")
    absent = provider.get(url)
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "ResourceNotFound")
    provider.put(url, vault_body())
    found = provider.get(url).json()
    assert (found["id"], found["location"], found["tags"]) == (url, "local", {})
    assert found["identity"] == {"type": "None"}  # else it would be planned away again and again
    told = found["properties"]
    assert told["storageSettings"] == [{"datastoreType": "VaultStore", "type": "GeoRedundant"}]
    assert told["securitySettings"]["softDeleteSettings"]["retentionDurationInDays"] == 14
    assert not told["featureSettings"]

    changed = vault_body(
        identity={"type": "SystemAssigned", "userAssignedIdentities": None}, tags={"a": "b"}
    )
    changed["properties"]["securitySettings"] = {
        "immutabilitySettings": {"state": "Unlocked"},
        "softDeleteSettings": {"retentionDurationInDays": 30, "state": "On"},
    }
    regions = {"crossRegionRestoreSettings": {"state": "Enabled"}}
    changed["properties"]["featureSettings"] = regions
    provider.put(url, changed)
    found = provider.get(url).json()  # an import reads the same
    assert (found["id"], found["tags"]) == (url, {"a": "b"})
    assert found["identity"]["type"] == "SystemAssigned"
    assert found["identity"]["principalId"]
    told = found["properties"]
    assert told["featureSettings"] == regions
    assert told["securitySettings"]["immutabilitySettings"]["state"] == "Unlocked"
    assert told["securitySettings"]["softDeleteSettings"]["retentionDurationInDays"] == 30

    provider.delete(url)
    assert provider.http.delete(url, params=VERSION).status_code == 204


def test_a_policy_from_nothing_to_nothing(provider: Provider) -> None:
    """Every change of it makes it anew. The provider waits for nothing here."""
    url = f"{vault_id()}/backupPolicies/tf-policy"
    assert provider.get(url).status_code == 404
    asked = policy_of_terraform()
    made = provider.http.put(url, params=VERSION, json={"properties": asked})
    assert made.status_code == 200, made.text
    for _ in range(2):  # as it is read after the creation, and by an import
        found = provider.get(url).json()
        assert found["id"] == url
        assert json.dumps(found["properties"]) == json.dumps(asked), "rules in another order"
    used = provider.http.delete(f"{vault_id()}/backupPolicies/pgflex", params=VERSION)
    assert used.json()["error"]["code"] == "UserErrorDppPolicyObjectInUse"
    assert provider.http.delete(url, params=VERSION).status_code in {200, 204}
    assert provider.get(url).status_code == 404
    assert provider.http.delete(url, params=VERSION).status_code == 204


def policy_of_terraform() -> dict[str, Any]:
    """The backup rule, the default, then one rule each; tags the same; nulls for what is unset."""
    store = {"objectType": "DataStoreInfoBase", "dataStoreType": "VaultStore"}
    criteria = {
        "objectType": "ScheduleBasedBackupCriteria",
        "absoluteCriteria": None,
        "daysOfTheWeek": ["Thursday"],
        "monthsOfYear": ["November"],
        "scheduleTimes": ["2021-05-23T02:30:00Z"],
        "weeksOfTheMonth": ["First"],
    }
    tags = [
        {
            "isDefault": True,
            "tagInfo": {"id": "Default_", "tagName": "Default"},
            "taggingPriority": 99,
        },
        {
            "criteria": [criteria],
            "isDefault": False,
            "tagInfo": {"id": "yearly_", "tagName": "yearly"},
            "taggingPriority": 20,
        },
    ]
    schedule = {
        "repeatingTimeIntervals": [
            "R/2021-05-23T02:30:00+00:00/P1W",
            "R/2021-05-24T03:40:00Z/P1W",
        ],
        "timeZone": "India Standard Time",
    }
    backup = {
        "objectType": "AzureBackupRule",
        "backupParameters": {"objectType": "AzureBackupParams", "backupType": "Full"},
        "dataStore": store,
        "name": "BackupIntervals",
        "trigger": {
            "objectType": "ScheduleBasedTriggerContext",
            "schedule": schedule,
            "taggingCriteria": tags,
        },
    }
    keep = [
        {
            "objectType": "AzureRetentionRule",
            "isDefault": name == "Default",
            "lifecycles": [
                {
                    "deleteAfter": {"objectType": "AbsoluteDeleteOption", "duration": duration},
                    "sourceDataStore": store,
                    "targetDataStoreCopySettings": [],
                }
            ],
            "name": name,
        }
        for name, duration in (("Default", "P4M"), ("yearly", "P10Y"))
    ]
    return {
        "objectType": "BackupPolicy",
        "datasourceTypes": [DATASOURCE],
        "policyRules": [backup, *keep],
    }


def test_the_cloud_tells_what_the_provider_needs_of_it(provider: Provider, story: Story) -> None:
    told = story.http.get("/metadata/endpoints", params={"api-version": "2022-09-01"}).json()
    for name in ("name", "resourceManager", "microsoftGraphResourceId"):
        assert told[name]
    signing_in = told["authentication"]
    assert signing_in["loginEndpoint"].startswith("https://")
    # Of any other it says that it does not support Azure Stack, and ends.
    assert (signing_in["identityProvider"], signing_in["tenant"]) == ("AAD", "common")
    assert told["suffixes"]["storage"]
    assert told["suffixes"]["keyVaultDns"], "it makes itself a client for that whatever it is for"
    listed = provider.get(f"/subscriptions/{SUBSCRIPTION}/providers").json()["value"]
    assert {"Microsoft.DataProtection", "Microsoft.DBforPostgreSQL"} <= {
        each["namespace"] for each in listed if each["registrationState"] == "Registered"
    }


def test_a_role_is_found_by_its_name_alone(provider: Provider) -> None:
    """As `data "azurerm_role_definition"` looks for it: at the root, where no role is held."""
    roles = "/providers/Microsoft.Authorization/roleDefinitions"
    wanted = {**VERSION, "$filter": f"roleName eq '{LONG_TERM_RETENTION.name}'"}
    (found,) = provider.http.get(roles, params=wanted).json()["value"]
    assert found["name"] == LONG_TERM_RETENTION.id
    assert provider.get(f"{roles}/{LONG_TERM_RETENTION.id}").json() == found
