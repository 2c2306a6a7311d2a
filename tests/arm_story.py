"""A control plane in which all is there: group, vault, policies, server, roles, instance."""

import time
from typing import Any

import httpx

from arm_world import DATASOURCE, GROUP, SUBSCRIPTION, VERSION, ArmWorld, server_id, vault_id
from strongroom.catalog.tables.tables import instances, recovery_points
from strongroom.model.identities.access import LONG_TERM_RETENTION, READER
from strongroom.model.protection.policy_templates import azure_default_policy

GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
INSTANCE_ID = f"{vault_id()}/backupInstances/pg1-inst"
GUIDS = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(10)]


def instance_body(server: str = "pg1", policy: str = "pgflex") -> dict[str, Any]:
    return {
        "objectType": "BackupInstance",
        "dataSourceInfo": {
            "objectType": "Datasource",
            "datasourceType": DATASOURCE,
            "resourceID": server_id(server),
        },
        "policyInfo": {"policyId": f"{vault_id()}/backupPolicies/{policy}"},
    }


def assignment_body(role: str, principal: str) -> dict[str, Any]:
    home = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    return {"properties": {"roleDefinitionId": f"{home}/{role}", "principalId": principal}}


def assignment_id(scope: str, guid: str) -> str:
    return f"{scope}/providers/Microsoft.Authorization/roleAssignments/{guid}"


def add_point(
    world: ArmWorld, number: int, kind: str, size: int, facts: dict[str, Any], *, of: str = ""
) -> None:
    """A recovery point of the one instance, or of the one that is named: its row alone."""
    now = world.clock.now()
    with world.database.writing() as connection:
        query = instances.select().where(instances.c.name == of) if of else instances.select()
        instance = connection.execute(query).mappings().one()
        row = {
            "id": f"{number:032x}",
            "instance_id": instance["id"],
            "job_id": "job",
            "kind": kind,
            "taken_at": now,
            "committed_at": now,
            "expires_at": now.add(hours=240),
            "tag": "Default",
            "policy_id": instance["policy_id"],
            "policy_version": 1,
            "generation": "g",
            "manifest_size": 1,
            "manifest_blake3": b"x" * 32,
            "raw_bytes": size,
            "stored_bytes": size // 4,
            "facts": facts,
            "state": "Completed",
        }
        connection.execute(recovery_points.insert(), [row])


class Story:
    """`v1` protects `pg1` as `pg1-inst` with policy `pgflex`; `spare` protects nothing."""

    def __init__(self, world: ArmWorld, http: httpx.Client) -> None:
        self.world, self.http = world, http
        self.put(GROUP_ID, {"location": "local"})
        vault = self.put(vault_id(), {"location": "local"})
        self.identity: str = vault["identity"]["principalId"]
        for name in ("pgflex", "spare"):
            policy = {"properties": azure_default_policy()}
            self.put(f"{vault_id()}/backupPolicies/{name}", policy)
        self.agent = world.agent()
        self.put(server_id(), {"properties": {"strongroom": {"agentServer": "main"}}})
        world.agent_says(self.agent, "main")
        for role, scope, guid in (
            (LONG_TERM_RETENTION.id, server_id(), GUIDS[0]),
            (READER.id, GROUP_ID, GUIDS[1]),
        ):
            self.put(assignment_id(scope, guid), assignment_body(role, self.identity))
        self.put(INSTANCE_ID, {"properties": instance_body()})
        self.until_protected()

    def put(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.put(url, params=VERSION, json=body)
        assert answer.status_code in {200, 201}, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def get(self, url: str) -> dict[str, Any]:
        answer = self.http.get(url, params=VERSION)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def until_protected(self) -> None:
        for _ in range(200):
            state = self.get(INSTANCE_ID)["properties"]["currentProtectionState"]
            if state == "ProtectionConfigured":
                return
            time.sleep(0.05)
        raise AssertionError(state)

    def outcome(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        """The status document of a POST's operation."""
        answer = self.http.post(url, params=VERSION, json=body)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = self.http.get(answer.headers["Azure-AsyncOperation"]).json()
        return found
