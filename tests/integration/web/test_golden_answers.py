"""One answer of each kind, as a file: no field of Azure's wire changes by accident.

`UPDATE_GOLDEN=1` writes them anew; the difference is for people to read. What differs from run to
run, and what is our own beside Azure's (`strongroom`), stands there as a word in brackets.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from arm_story import GROUP_ID, GUIDS, INSTANCE_ID, Story, add_point, assignment_id
from arm_world import SUBSCRIPTION, TENANT, VERSION, ArmWorld, server_id, vault_id
from strongroom.model.identities.access import BUILT_IN, MUA_OPERATOR, READER
from strongroom.model.protection.policy_templates import azure_default_policy
from strongroom.model.resources.guard import PROXY

GOLDEN = Path(__file__).parents[2] / "golden" / "answers"
HOME = f"/subscriptions/{SUBSCRIPTION}"
PROVIDER = f"{GROUP_ID}/providers/Microsoft.DataProtection"
GUARD = f"{PROVIDER}/resourceGuards/g1"
GUARDED = vault_id("guarded")
AUTHORIZATION = f"{HOME}/providers/Microsoft.Authorization"
LOCATION = f"{PROVIDER}/locations/local"
POINT = f"{INSTANCE_ID}/recoveryPoints/{1:032x}"
FACTS = {"version_number": 180001, "databases": {"shop": 1}}
KNOWN = {TENANT, SUBSCRIPTION, *BUILT_IN, *GUIDS}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DURATION = re.compile(r"PT[\d.]+S")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
Ask = Callable[[Story], httpx.Response]


def get(url: str, **query: str) -> Ask:
    return lambda story: story.http.get(url, params=VERSION | query)


def post(url: str, body: dict[str, Any]) -> Ask:
    return lambda story: story.http.post(url, params=VERSION, json=body)


def job_of(url: str, body: dict[str, Any]) -> Ask:
    def ask(story: Story) -> httpx.Response:
        told = story.outcome(url, body)
        return story.http.get(told["properties"]["jobId"], params=VERSION)

    return ask


def status_of(url: str, body: dict[str, Any]) -> Ask:
    def ask(story: Story) -> httpx.Response:
        begun = story.http.post(url, params=VERSION, json=body)
        return story.http.get(begun.headers["Azure-AsyncOperation"])

    return ask


def operation(header: str) -> Ask:
    def ask(story: Story) -> httpx.Response:
        asked = {"backupInstance": story.get(INSTANCE_ID)["properties"]}
        begun = story.http.post(
            f"{INSTANCE_ID}/validateForModifyBackup", params=VERSION, json=asked
        )
        return story.http.get(begun.headers[header])

    return ask


def long_term(story: Story) -> httpx.Response:
    place = {"sasUriList": ["https://acct.blob.example/theirs?sp=rcw&sig=x"]}
    asked = {"backupSettings": {"backupName": "b1"}, "targetDetails": place}
    story.http.post(f"{server_id()}/startLtrBackup", params=VERSION, json=asked)
    # Asked for in another case: the answer has the names as they were given.
    return story.http.get(f"{server_id('PG1')}/ltrBackupOperations/B1", params=VERSION)


def deleted(kind: str) -> Ask:
    """Of a vault that a story of its own leaves behind."""

    def ask(story: Story) -> httpx.Response:
        story.put(vault_id("gone"), {"location": "local"})
        story.http.delete(vault_id("gone"), params=VERSION)
        return story.http.get(
            f"{HOME}/providers/Microsoft.DataProtection/locations/local/{kind}", params=VERSION
        )

    return ask


RESTORE = {
    "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
    "recoveryPointId": f"{1:032x}",
    "restoreTargetInfo": {
        "objectType": "RestoreTargetInfo",
        "recoveryOption": "FailIfExists",
        "restoreLocation": "local",
        "datasourceInfo": {"resourceUri": "file:///srv/new?start=true"},
    },
}
UNGRANTED = {
    "dataSourceInfo": {"resourceID": server_id("silent")},
    "policyInfo": {"policyId": f"{GUARDED}/backupPolicies/pol"},
}
ASKED: dict[str, Ask] = {
    "metadata": get("/metadata/endpoints"),
    "openid-configuration": get(f"/{TENANT}/v2.0/.well-known/openid-configuration"),
    "subscription": get(HOME),
    "subscriptions": get("/subscriptions"),
    "tenants": get("/tenants"),
    "locations": get(f"{HOME}/locations"),
    "provider": get(f"{HOME}/providers/Microsoft.DataProtection"),
    "resource-group": get(GROUP_ID),
    "resources": get(f"{GROUP_ID}/resources", **{"$filter": "name eq 'v1'"}),
    "vault": get(vault_id()),
    "deleted-vaults": deleted("deletedVaults"),
    "name-available": post(f"{LOCATION}/checkNameAvailability", {"name": "v1"}),
    "feature": post(
        f"{HOME}/providers/Microsoft.DataProtection/locations/local/checkFeatureSupport",
        {"objectType": "FeatureValidationRequest", "featureName": "x", "featureType": "x"},
    ),
    "policy": get(f"{vault_id()}/backupPolicies/pgflex"),
    "server": get(server_id()),
    "error-not-ready": post(f"{server_id('silent')}/ltrPreBackup", {}),
    "ltr-pre-backup": post(f"{server_id()}/ltrPreBackup", {"backupSettings": {"backupName": "b"}}),
    "instance": get(INSTANCE_ID),
    "instances": get(f"{vault_id()}/backupInstances"),
    "routed-instances": get(f"{server_id()}/providers/Microsoft.DataProtection/backupInstances"),
    "recovery-point": get(POINT),
    "restorable-time-ranges": post(
        f"{INSTANCE_ID}/findRestorableTimeRanges",
        {"sourceDataStoreType": "VaultStore", "startTime": "2026-01-01T00:00:00Z"},
    ),
    "job-of-backup": job_of(
        f"{INSTANCE_ID}/backup", {"backupRuleOptions": {"ruleName": "BackupWeekly"}}
    ),
    "job-of-restore": job_of(f"{INSTANCE_ID}/restore", RESTORE),
    "operation-status": operation("Azure-AsyncOperation"),
    "operation-result": operation("Location"),
    "long-term-backup": long_term,
    "guard": get(GUARD),
    "guard-request": get(f"{GUARD}/deleteProtectedItemRequests/default"),
    "guard-proxy": get(f"{GUARDED}/backupResourceGuardProxies/{PROXY}"),
    "role-definition": get(f"{AUTHORIZATION}/roleDefinitions/{READER.id}"),
    "role-assignment": get(assignment_id(server_id(), GUIDS[0])),
    "error-not-found": get(f"{vault_id()}/backupPolicies/none"),
    "error-no-version": lambda story: story.http.get(vault_id()),
    "error-invalid": post(f"{INSTANCE_ID}/restore", RESTORE | {"recoveryPointId": "x"}),
    "error-in-use": lambda story: story.http.delete(vault_id(), params=VERSION),
    "error-not-approved": lambda story: story.http.delete(
        f"{GUARDED}/backupResourceGuardProxies/{PROXY}", params=VERSION
    ),
    "error-missing-roles": status_of(
        f"{GUARDED}/validateForBackup",
        {"backupInstance": UNGRANTED},
    ),
}


@pytest.fixture(scope="module")
def filled(world: ArmWorld, story: Story) -> Story:
    """With a point, a vault under a guard, and a server that no agent has told of."""
    add_point(world, 1, "Full", 1 << 20, FACTS)
    world.principal("approver", [(MUA_OPERATOR.id, GROUP_ID)])
    story.put(GUARD, {"location": "local"})
    story.put(GUARDED, {"location": "local"})
    silent = {"properties": {"strongroom": {"agentServer": "silent"}}}
    story.put(server_id("silent"), silent)
    story.put(f"{GUARDED}/backupPolicies/pol", {"properties": azure_default_policy()})
    told = {"properties": {"resourceGuardResourceId": GUARD}}
    story.put(f"{GUARDED}/backupResourceGuardProxies/{PROXY}", told)
    return story


def plain(told: Any, world: ArmWorld) -> Any:
    """What is the same in every run."""
    if isinstance(told, dict):
        return {
            name: "<ours>" if name == "strongroom" else plain(value, world)
            for name, value in told.items()
        }
    if isinstance(told, list):
        return [plain(each, world) for each in told]
    if not isinstance(told, str):
        return told
    if told.startswith("{"):
        return "<JSON>"  # `metaData`, which is ours
    told = TIME.sub("<time>", told.replace(world.url, "<address>"))
    told = DURATION.sub("<duration>", told)
    return GUID.sub(lambda m: m[0] if m[0] in KNOWN else "<guid>", told)


@pytest.mark.parametrize("kind", ASKED)
def test_an_answer_is_as_it_was(world: ArmWorld, filled: Story, kind: str) -> None:
    answer = ASKED[kind](filled)
    now = {"status": answer.status_code, "body": plain(answer.json(), world)}
    file = GOLDEN / f"{kind}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n")
    assert json.loads(file.read_text()) == now


def test_every_file_is_the_answer_of_something() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == ASKED.keys()
