"""As the azurerm provider of Terraform goes about it: bodies, poller, what it takes for granted.

Source: hashicorp/terraform-provider-azurerm, internal/services/dataprotection, and the poller of
hashicorp/go-azure-sdk.
"""

import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from arm_story import GROUP_ID, GUIDS, Story, assignment_body, assignment_id
from arm_world import DATASOURCE, SUBSCRIPTION, vault_id
from strongroom.model.access import LONG_TERM_RETENTION

VERSION = {"api-version": "2025-07-01"}
NAME = f"{vault_id()}/backupInstances/tf"
SERVER = f"{GROUP_ID}/providers/{DATASOURCE}/pg-tf"
DONE, WAITING = "ProtectionConfigured", ("ConfiguringProtection", "UpdatingProtection")


class Provider:
    """What of the provider's client matters."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, url: str) -> httpx.Response:
        return self._http.get(url, params=VERSION)

    def put(self, url: str, body: dict[str, Any]) -> None:
        answer = self._http.put(url, params=VERSION, json=body)
        assert answer.status_code in {200, 201, 202}, answer.text
        self._poll(answer.headers)

    def _poll(self, headers: httpx.Headers) -> None:
        """Azure-AsyncOperation, of which only path and query count, until it is over."""
        assert int(headers["Retry-After"]) >= 1
        place = urlsplit(headers["Azure-AsyncOperation"])
        assert place.scheme, "absolute"
        assert place.netloc, "absolute"
        for _ in range(60):
            answer = self._http.get(f"{place.path}?{place.query}")
            assert answer.status_code == 200, answer.text
            assert answer.headers["Content-Type"].startswith("application/json")
            status = answer.json()["status"]
            if status == "Succeeded":
                return
            assert status not in {"Failed", "Canceled"}, answer.text
            assert int(answer.headers["Retry-After"]) >= 1
            time.sleep(0.1)
        raise AssertionError("it never ended")

    def until_done(self, url: str) -> dict[str, Any]:
        """Any other state on the way is an error there."""
        for _ in range(60):
            found: dict[str, Any] = self.get(url).json()
            state = found["properties"]["currentProtectionState"]
            if state == DONE:
                return found
            assert state in WAITING
            time.sleep(0.1)
        raise AssertionError(state)

    def delete(self, url: str) -> None:
        """It looks at no header: it asks for the resource until that is gone."""
        assert self._http.delete(url, params=VERSION).status_code in {200, 202, 204}
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
    found = provider.until_done(NAME)
    told = found["properties"]
    assert told["policyInfo"]["policyId"] == f"{vault_id()}/backupPolicies/pgflex"
    assert told["dataSourceInfo"]["resourceID"] == SERVER
    assert told["dataSourceSetInfo"]["resourceID"] == SERVER

    found["properties"]["policyInfo"]["policyId"] = f"{vault_id()}/backupPolicies/spare"
    provider.put(NAME, found)
    changed = provider.until_done(NAME)["properties"]
    assert changed["policyInfo"]["policyId"].endswith("/spare")

    provider.delete(NAME)


def test_a_vault_is_as_it_was_asked_for_and_goes(provider: Provider) -> None:
    url = vault_id("tf-vault")
    store = {"datastoreType": "VaultStore", "type": "GeoRedundant"}
    security = {
        "immutabilitySettings": {"state": "Disabled"},
        "softDeleteSettings": {"retentionDurationInDays": 14, "state": "On"},
    }
    body = {
        "identity": {"type": "SystemAssigned", "userAssignedIdentities": None},
        "location": "Lo cal",
        "properties": {"securitySettings": security, "storageSettings": [store]},
        "tags": {"a": "b"},
    }
    provider.put(url, body)
    found = provider.get(url).json()
    assert found["location"] == "local"
    assert found["tags"] == {"a": "b"}
    assert found["properties"]["storageSettings"] == [store]
    assert found["properties"]["securitySettings"]["softDeleteSettings"]["state"] == "On"
    assert found["id"] == url
    provider.delete(url)


def test_the_cloud_tells_what_the_provider_needs_of_it(provider: Provider, story: Story) -> None:
    told = story.http.get("/metadata/endpoints", params={"api-version": "2022-09-01"}).json()
    for name in ("name", "resourceManager", "microsoftGraphResourceId"):
        assert told[name]
    assert told["authentication"]["loginEndpoint"].startswith("https://")
    assert told["suffixes"]["storage"]
    listed = provider.get(f"/subscriptions/{SUBSCRIPTION}/providers").json()["value"]
    assert {"Microsoft.DataProtection", "Microsoft.DBforPostgreSQL"} <= {
        each["namespace"] for each in listed if each["registrationState"] == "Registered"
    }
