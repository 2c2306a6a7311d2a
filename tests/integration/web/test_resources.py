"""Vaults, policies, servers, instances and roles over HTTP, as Terraform and others send them."""

import copy
import uuid
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.mgmt.dataprotection import models as m

from arm_story import (
    GROUP_ID,
    GUIDS,
    INSTANCE_ID,
    Story,
    add_point,
    assignment_body,
    assignment_id,
    instance_body,
)
from arm_world import DATASOURCE, SUBSCRIPTION, VERSION, ArmWorld, server_id, vault_id
from strongroom.catalog.protection import schedules
from strongroom.catalog.tables.tables import recovery_points
from strongroom.catalog.tables.tables import schedules as schedule_table
from strongroom.model.identities.access import LONG_TERM_RETENTION, READER
from strongroom.model.oversight.outside import Room
from strongroom.model.protection.policy_templates import azure_default_policy, ten_years_policy

GROUP = GROUP_ID.rpartition("/")[2]
STORE = {"objectType": "DataStoreInfoBase", "dataStoreType": "VaultStore"}


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    told: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (status, code), answer.text
    return told


# Vaults


def test_a_vault_with_content_cannot_go_and_says_what_stands_in_the_way(story: Story) -> None:
    told = refused(
        story.http.delete(vault_id(), params=VERSION), 409, "UserErrorBackupVaultNotEmpty"
    )
    blockers = {detail["target"] for detail in told["details"]}
    assert blockers == {
        INSTANCE_ID,
        f"{vault_id()}/backupPolicies/pgflex",
        f"{vault_id()}/backupPolicies/spare",
    }


def test_a_patch_changes_one_thing_and_the_etag(world: ArmWorld, story: Story) -> None:
    client = world.backup().backup_vaults
    story.put(vault_id("v3"), {"location": "local", "tags": {"a": "1"}})
    before = client.get(GROUP, "v3")
    after = client.begin_update(GROUP, "v3", m.PatchResourceRequestInput(tags={"b": "2"})).result()
    assert after.tags == {"b": "2"}
    assert after.e_tag != before.e_tag
    assert after.identity.principal_id == before.identity.principal_id
    absent = story.http.patch(vault_id("absent"), params=VERSION, json={"tags": {}})
    refused(absent, 404, "ResourceNotFound")


def test_whether_a_vault_name_is_free_is_told(world: ArmWorld, story: Story) -> None:
    client = world.backup().backup_vaults
    for name, free, reason in (
        ("v1", False, "AlreadyExists"),
        ("new", True, ""),
        ("_", False, "Invalid"),
    ):
        asked = m.CheckNameAvailabilityRequest(
            name=name, type="Microsoft.DataProtection/backupVaults"
        )
        found = client.check_name_availability(GROUP, "local", asked)
        assert (found.name_available, found.reason or "") == (free, reason)


def test_a_vault_does_not_move(story: Story) -> None:
    answer = story.http.put(vault_id(), params=VERSION, json={"location": "elsewhere"})
    refused(answer, 409, "InvalidResourceLocation")
    assert story.put(vault_id(), {"location": " LoCal"})["location"] == "local"


@pytest.mark.parametrize("body", [{}, {"location": None}, {"location": " "}, {"tags": {"a": "1"}}])
def test_what_is_somewhere_says_where(story: Story, body: dict[str, Any]) -> None:
    guard = f"{GROUP_ID}/providers/Microsoft.DataProtection/resourceGuards/g1"
    for url in (vault_id(), vault_id("v-nowhere"), guard, GROUP_ID):
        told = refused(story.http.put(url, params=VERSION, json=body), 400, "LocationRequired")
        assert told["message"].startswith("The location property is required for this definition.")
    assert story.http.get(vault_id("v-nowhere"), params=VERSION).status_code == 404


def test_a_vault_needs_its_group(story: Story) -> None:
    answer = story.http.put(vault_id("v1", "absent"), params=VERSION, json={"location": "local"})
    refused(answer, 404, "ResourceGroupNotFound")


# Policies


def terraform_policy() -> dict[str, Any]:
    """As azurerm sends it: an empty zone, nulls for what is not set, tags without criteria."""
    tag = {
        "isDefault": False,
        "taggingPriority": 20,
        "tagInfo": {"id": "weekly_", "tagName": "weekly"},
        "criteria": [
            {
                "objectType": "ScheduleBasedBackupCriteria",
                "absoluteCriteria": ["FirstOfWeek"],
                "daysOfMonth": None,
                "daysOfTheWeek": None,
                "monthsOfYear": None,
                "scheduleTimes": None,
                "weeksOfTheMonth": None,
            }
        ],
    }
    default = {
        "isDefault": True,
        "taggingPriority": 99,
        "tagInfo": {"id": "Default_", "tagName": "Default"},
    }
    rules = [
        {
            "objectType": "AzureBackupRule",
            "name": "BackupIntervals",
            "backupParameters": {"objectType": "AzureBackupParams", "backupType": "Full"},
            "dataStore": STORE,
            "trigger": {
                "objectType": "ScheduleBasedTriggerContext",
                "schedule": {
                    "repeatingTimeIntervals": ["R/2021-05-23T02:30:00+00:00/P1W"],
                    "timeZone": "",
                },
                "taggingCriteria": [default, tag],
            },
        },
        *(
            {
                "objectType": "AzureRetentionRule",
                "name": name,
                "isDefault": name == "Default",
                "lifecycles": [
                    {
                        "deleteAfter": {
                            "objectType": "AbsoluteDeleteOption",
                            "duration": duration,
                        },
                        "sourceDataStore": STORE,
                        "targetDataStoreCopySettings": [],
                    }
                ],
            }
            for name, duration in (("Default", "P4M"), ("weekly", "P6M"))
        ),
    ]
    return {
        "datasourceTypes": ["Microsoft.DBforPostgreSQL/flexibleServers"],
        "objectType": "BackupPolicy",
        "policyRules": rules,
    }


def test_a_policy_comes_back_byte_for_byte_in_its_own_order(story: Story) -> None:
    asked = terraform_policy()
    url = f"{vault_id()}/backupPolicies/terraform"
    assert story.put(url, {"properties": asked})["properties"] == asked
    kept = story.get(url)["properties"]
    assert list(kept) == list(asked)
    assert kept == asked


def test_a_tag_without_an_id_gets_one_and_nothing_else_changes(story: Story) -> None:
    asked = azure_default_policy()
    expected = copy.deepcopy(asked)
    del asked["policyRules"][0]["trigger"]["taggingCriteria"][0]["tagInfo"]["id"]
    told = story.put(f"{vault_id()}/backupPolicies/no-id", {"properties": asked})
    assert told["properties"] == expected


@pytest.mark.parametrize("cut", ["policyRules", "trigger", "duration"])
def test_a_policy_that_makes_no_sense_is_refused_with_a_remedy(story: Story, cut: str) -> None:
    asked: dict[str, Any] = azure_default_policy()
    if cut == "policyRules":
        asked["policyRules"] = []
    elif cut == "trigger":
        del asked["policyRules"][0]["trigger"]
    else:
        asked["policyRules"][1]["lifecycles"][0]["deleteAfter"]["duration"] = "PT5M"
    url = f"{vault_id()}/backupPolicies/bad"
    answer = story.http.put(url, params=VERSION, json={"properties": asked})
    told = refused(answer, 400, "BMSUserErrorInvalidInput")
    assert told["additionalInfo"][0]["info"]["recommendedAction"]


def test_a_policy_in_use_cannot_go_and_one_that_is_not_can(world: ArmWorld, story: Story) -> None:
    client = world.backup().backup_policies
    with pytest.raises(ResourceExistsError) as kept:
        client.delete(GROUP, "v1", "pgflex")
    assert kept.value.error.code == "UserErrorDppPolicyObjectInUse"
    story.put(f"{vault_id()}/backupPolicies/gone", {"properties": azure_default_policy()})
    client.delete(GROUP, "v1", "gone")
    client.delete(GROUP, "v1", "gone")
    assert "gone" not in {policy.name for policy in client.list(GROUP, "v1")}


def planned(world: ArmWorld) -> set[str]:
    with world.database.reading() as connection:
        return {row.rule_name for row in connection.execute(schedule_table.select())}


def test_a_changed_policy_plans_anew_whom_it_protects(world: ArmWorld, story: Story) -> None:
    assert schedules
    url = f"{vault_id()}/backupPolicies/pgflex"
    assert planned(world) == {"BackupWeekly"}
    story.put(url, {"properties": ten_years_policy()})
    assert planned(world) == {"BackupDaily"}
    story.put(url, {"properties": azure_default_policy()})
    assert planned(world) == {"BackupWeekly"}


# Servers


def test_a_server_is_shown_as_its_agent_sees_it(story: Story) -> None:
    told = story.get(server_id())["properties"]
    assert told["state"] == "Ready"
    assert told["version"] == "18"
    assert told["storage"]["storageSizeGB"] == 7
    assert told["fullyQualifiedDomainName"] == "db.example"
    assert told["strongroom"]["endpoint"] == "db.example:5432"
    assert "conninfo" not in str(told).lower()
    listed = story.get(server_id().rpartition("/")[0])["value"]
    home = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.DBforPostgreSQL"
    assert [s["name"] for s in listed] == [
        s["name"] for s in story.get(f"{home}/flexibleServers")["value"]
    ]


def test_one_server_of_an_agent_is_registered_once(story: Story) -> None:
    body = {"properties": {"strongroom": {"agentServer": "main"}}}
    answer = story.http.put(server_id("again"), params=VERSION, json=body)
    refused(answer, 409, "Conflict")
    assert story.put(server_id(), body)["name"] == "pg1"


def test_a_server_names_its_superuser_once_its_agent_has_looked(
    world: ArmWorld, story: Story
) -> None:
    assert story.get(server_id())["properties"]["administratorLogin"] is None
    world.agent_says(story.agent, "main", administrator="postgres")
    assert story.get(server_id())["properties"]["administratorLogin"] == "postgres"
    world.agent_says(story.agent, "main")


def test_a_server_tells_how_its_vault_backs_it_up(world: ArmWorld, story: Story) -> None:
    told = story.get(server_id())["properties"]["backup"]
    assert (told["geoRedundantBackup"], told["immutableBackup"]) == ("Enabled", "Disabled")
    before = told["backupRetentionDays"], told["earliestRestoreDate"]
    kept = instance_body() | {"strongroom": {"settings": {"operationalDays": 9}}}
    story.put(INSTANCE_ID, {"properties": kept})
    add_point(world, 41, "Full", 1, {})
    told = story.get(server_id())["properties"]["backup"]
    assert told["backupRetentionDays"] == 9
    assert told["earliestRestoreDate"]
    assert before == (0, None)
    listed = story.get(server_id().rpartition("/")[0])["value"]
    everywhere = f"/subscriptions/{SUBSCRIPTION}/providers/{DATASOURCE}"
    for rows in (listed, story.get(everywhere)["value"]):
        told_each = {row["name"]: row["properties"]["backup"] for row in rows}
        assert told_each.pop("pg1") == told
        assert set(told_each.values()) <= {None}
    story.put(INSTANCE_ID, {"properties": instance_body()})
    with world.database.writing() as connection:
        connection.execute(recovery_points.delete())
    body = {"properties": {"strongroom": {"agentServer": "unprotected"}}}
    assert story.put(server_id("unprotected"), body)["properties"]["backup"] is None


def test_the_prerequisites_are_told_whole(world: ArmWorld, story: Story) -> None:
    body = {"properties": {"strongroom": {"agentServer": "second"}}}
    story.put(server_id("pg2"), body)
    check = f"{server_id('pg2')}/ltrPreBackup"
    silent = story.http.post(check, params=VERSION, json={"backupSettings": {"backupName": "b"}})
    refused(silent, 400, "ServerNotReadyForLongTermBackup")
    problems = [
        {"kind": "SourceRefused", "code": "c", "message": m, "hint": h, "facts": {}}
        for m, h in (("no replication", "ALTER ROLE x"), ("no line", "pg_hba.conf: y"))
    ]
    world.agent_says(story.agent, "second", ready=False, problems=problems)
    told = refused(story.http.post(check, params=VERSION), 400, "ServerNotReadyForLongTermBackup")
    assert "no replication; no line" in told["message"]
    info = told["additionalInfo"][0]["info"]
    assert info["recommendedAction"] == ["ALTER ROLE x", "pg_hba.conf: y"]
    world.agent_says(story.agent, "second")
    ready = story.http.post(check, params=VERSION)
    assert ready.json() == {"properties": {"numberOfContainers": 1}}


# Instances


def test_validation_names_everything_that_is_missing_at_once(
    world: ArmWorld, story: Story
) -> None:
    story.put(f"{GROUP_ID}x", {"location": "local"})
    unready = server_id("pg3", f"{GROUP}x")
    story.put(unready, {"properties": {"strongroom": {"agentServer": "third"}}})
    body = instance_body(policy="absent")
    body["dataSourceInfo"]["resourceID"] = unready
    told = story.outcome(f"{vault_id()}/validateForBackup", {"backupInstance": body})
    codes = [detail["code"] for detail in told["error"]["details"]]
    assert codes == [
        "ResourceNotFound",
        "UserErrorMissingRequiredPermissions",
        "ServerNotReadyForLongTermBackup",
    ]
    actions = told["error"]["additionalInfo"][0]["info"]["recommendedAction"]
    assert len([a for a in actions if a.startswith("az role assignment create")]) == 2


def test_validation_tells_that_a_first_backup_would_not_fit_into_storage(
    world: ArmWorld, story: Story
) -> None:
    """`pg1` holds 7 GiB, which may become a quarter of it; the reserve is never for backups."""
    asked = {"backupInstance": instance_body("pg-large")}
    story.put(server_id("pg-large"), {"properties": {"strongroom": {"agentServer": "large"}}})
    role = assignment_id(server_id("pg-large"), str(uuid.uuid4()))
    story.put(role, assignment_body(LONG_TERM_RETENTION.id, story.identity))
    world.agent_says(story.agent, "large")
    try:
        for room, fits in (
            (Room(3 << 30, 1 << 30), True),
            (Room(3 << 30, 2 << 30), False),
            (Room(3 << 30, 2 << 30, holds_blobs=False), True),
        ):
            world.room = room
            told = story.outcome(f"{vault_id()}/validateForBackup", asked)
            assert (told["status"] == "Succeeded") is fits, told
            if not fits:
                assert told["error"]["code"] == "StoreFull"
                assert "7.52 GB" in told["error"]["message"]
                assert "1.07 GB are left" in told["error"]["message"]
    finally:
        world.room = None


def test_a_vault_says_that_the_server_failed_it_and_in_the_inner_code_why(story: Story) -> None:
    unready = server_id("pg9")
    story.put(unready, {"properties": {"strongroom": {"agentServer": "ninth"}}})
    role = assignment_id(unready, str(uuid.uuid4()))
    story.put(role, assignment_body(LONG_TERM_RETENTION.id, story.identity))
    asked = {"backupInstance": instance_body("pg9")}
    error = story.outcome(f"{vault_id()}/validateForBackup", asked)["error"]
    told = error["additionalInfo"][0]["info"]
    assert error["code"] == told["code"] == "PostgreSQLFlexOperationFailedUserError"
    assert told["innerError"]["code"] == "ServerNotReadyForLongTermBackup"
    put = {"properties": instance_body("pg9")}
    answer = story.http.put(f"{vault_id()}/backupInstances/pg9", params=VERSION, json=put)
    refused(answer, 400, "PostgreSQLFlexOperationFailedUserError")


def test_a_server_is_protected_once(story: Story) -> None:
    other = f"{vault_id()}/backupInstances/another"
    answer = story.http.put(other, params=VERSION, json={"properties": instance_body()})
    told = refused(answer, 400, "UserErrorDppDatasourceAlreadyProtected")
    assert "pg1-inst of vault v1" in told["message"]


def test_an_instance_that_is_put_back_whole_with_another_policy_changes_its_policy(
    story: Story,
) -> None:
    story.put(f"{vault_id()}/backupPolicies/other", {"properties": ten_years_policy()})
    whole = story.get(INSTANCE_ID)
    whole["properties"]["policyInfo"]["policyId"] = f"{vault_id()}/backupPolicies/other"
    whole["properties"]["objectType"] = ""
    whole["tags"] = {"team": "data"}
    changed = story.put(INSTANCE_ID, whole)
    assert changed["properties"]["currentProtectionState"] == "ProtectionConfigured"
    assert changed["properties"]["policyInfo"]["policyId"].endswith("/other")
    assert changed["properties"]["objectType"] == "BackupInstance"
    assert changed["tags"] == {"team": "data"}
    story.put(INSTANCE_ID, {"properties": instance_body()})


def test_an_instance_keeps_its_server(world: ArmWorld, story: Story) -> None:
    body = {"properties": {"strongroom": {"agentServer": "fourth"}}}
    story.put(server_id("pg4"), body)
    world.agent_says(story.agent, "fourth")
    grant = assignment_body(LONG_TERM_RETENTION.id, story.identity)
    story.put(assignment_id(server_id("pg4"), GUIDS[4]), grant)
    answer = story.http.put(INSTANCE_ID, params=VERSION, json={"properties": instance_body("pg4")})
    refused(answer, 409, "BMSUserErrorInvalidInput")


def test_a_policy_of_another_vault_protects_nothing_here(story: Story) -> None:
    body = instance_body()
    body["policyInfo"]["policyId"] = f"{vault_id('v3')}/backupPolicies/pgflex"
    answer = story.http.put(INSTANCE_ID, params=VERSION, json={"properties": body})
    refused(answer, 400, "BMSUserErrorInvalidInput")


def test_ids_go_out_in_canonical_case_whatever_came_in(story: Story) -> None:
    body = instance_body()
    body["dataSourceInfo"] = {"resourceId": server_id().upper()}
    body["dataSourceSetInfo"] = {"objectType": "DatasourceSet", "resourceID": server_id().upper()}
    body["policyInfo"] = {"PolicyID": f"{vault_id()}/backupPolicies/pgflex".upper()}
    told = story.put(INSTANCE_ID, {"properties": body})["properties"]
    assert told["dataSourceInfo"]["resourceID"] == server_id()
    assert told["dataSourceSetInfo"]["resourceID"] == server_id()
    assert told["policyInfo"]["policyId"] == f"{vault_id()}/backupPolicies/pgflex"


def test_names_go_out_as_they_were_given_whatever_case_they_are_asked_for_in(story: Story) -> None:
    loud = vault_id().replace(GROUP, GROUP.upper()).replace("/v1", "/V1")
    for kind, name in (("backupInstances", "pg1-inst"), ("backupPolicies", "pgflex")):
        whole = f"{vault_id()}/{kind}/{name}"
        assert story.get(f"{loud}/{kind}/{name.upper()}")["id"] == whole
        assert whole in {each["id"] for each in story.get(f"{loud}/{kind}")["value"]}
    told = story.get(f"{loud}/backupInstances/pg1-inst")["properties"]
    assert told["policyInfo"]["policyId"].startswith(f"{vault_id()}/")


def test_a_credential_in_a_request_is_refused_and_not_kept(story: Story) -> None:
    body = instance_body() | {
        "datasourceAuthCredentials": {"objectType": "x", "secret": "hunter2"}
    }
    answer = story.http.put(INSTANCE_ID, params=VERSION, json={"properties": body})
    refused(answer, 400, "BMSUserErrorInvalidInput")
    assert "hunter2" not in answer.text
    with story.world.database.reading() as connection:
        dump = connection.exec_driver_sql("select properties from instances").fetchall()
    assert "hunter2" not in str(dump)


# Roles


def test_a_role_given_twice_is_once_and_another_name_for_it_is_a_conflict(story: Story) -> None:
    wish = assignment_body(READER.id, story.identity)
    url = assignment_id(server_id(), str(uuid.uuid4()))
    first = story.http.put(url, params=VERSION, json=wish)
    again = story.http.put(url, params=VERSION, json=wish)
    assert (first.status_code, again.status_code) == (201, 200)
    other = story.http.put(
        assignment_id(server_id(), str(uuid.uuid4())), params=VERSION, json=wish
    )
    refused(other, 409, "RoleAssignmentExists")
    changed = story.http.put(
        url, params=VERSION, json=assignment_body(LONG_TERM_RETENTION.id, story.identity)
    )
    refused(changed, 409, "RoleAssignmentUpdateNotPermitted")


@pytest.mark.parametrize(
    ("name", "role", "principal", "status", "code"),
    [
        ("x", READER.id, None, 400, "BMSUserErrorInvalidInput"),
        (GUIDS[6], GUIDS[7], None, 404, "RoleDefinitionDoesNotExist"),
        (GUIDS[6], READER.id, GUIDS[7], 400, "PrincipalNotFound"),
    ],
)
def test_a_role_needs_a_name_a_definition_and_somebody_to_hold_it(
    story: Story, name: str, role: str, principal: str | None, status: int, code: str
) -> None:
    wish = assignment_body(role, principal or story.identity)
    answer = story.http.put(assignment_id(GROUP_ID, name), params=VERSION, json=wish)
    refused(answer, status, code)


def test_assignments_are_listed_by_scope_and_by_principal(story: Story) -> None:
    def listed(wanted: str, scope: str = GROUP_ID) -> set[tuple[str, str]]:
        url = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
        answer = story.http.get(url, params={**VERSION, "$filter": wanted})
        found = [one["properties"] for one in answer.json()["value"]]
        return {(one["scope"], one["principalId"]) for one in found}

    here, below = (GROUP_ID, story.identity), (server_id(), story.identity)
    owner = ("/", story.world.owner_id)
    assert {here, below, owner} <= listed("")
    assert {here, owner} <= listed("atScope()")
    assert below not in listed("atScope()")
    assert owner not in listed(f"principalId eq '{story.identity}'")
    assert below in listed(f"assignedTo('{story.identity.upper()}')")


def test_a_definition_is_found_by_name_and_by_id(story: Story) -> None:
    url = f"{GROUP_ID}/providers/Microsoft.Authorization/roleDefinitions"
    named = story.http.get(url, params={**VERSION, "$filter": "roleName eq 'reader'"}).json()
    assert [role["name"] for role in named["value"]] == [READER.id]
    assert story.get(f"{url}/{READER.id}")["properties"]["roleName"] == "Reader"
    assert len(story.get(url)["value"]) == 10
