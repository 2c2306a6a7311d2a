"""Protect a server in one command: register, grant, validate, protect, first backup."""

import json
import re
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from cyclopts import Parameter

from strongroom.cli import connection, console, servers
from strongroom.cli.client import Client
from strongroom.cli.follow import follow
from strongroom.cli.means import COMMON, Common, Given, Means
from strongroom.model.access import LONG_TERM_RETENTION, READER, RoleDefinition
from strongroom.model.errors import Conflict, NotFound
from strongroom.model.policy import DATASOURCE_TYPE
from strongroom.model.policy_templates import ten_years_policy

DEFAULT_POLICY = "ten-years"
_HOST = re.compile(r"(?:^|\s)host\s*=\s*'?([^'\s]+)")


def protect(
    conninfo: str,
    *,
    name: Annotated[str, Parameter(help="Name of the server; default: its host's name.")] = "",
    policy: Annotated[str, Parameter(help="Backup policy.")] = DEFAULT_POLICY,
    wait: Annotated[bool, Parameter(help="Follow the first backup to its end.")] = True,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Protect a PostgreSQL server: everything from the preflight to its first backup.

    CONNINFO is a URI or "host=... user=..."; `-` reads it from standard input. Changes nothing
    when something is missing: it says what, and how to add it. Safe to run again.

    ```
    strongroom protect postgresql://backup@db1/postgres
    strongroom protect "host=/var/run/postgresql user=postgres" --name shop
    ```
    """
    found = connection.load(common)
    text = servers.read_conninfo(conninfo)
    name = name or name_of(text)
    console.note("preflight: looking at the server ...")
    facts = servers.preflight(text)
    servers.tell_problems(facts.get("problems", []))
    size = console.size(facts.get("sizeBytes", 0))
    console.note(f"preflight: PostgreSQL {facts.get('versionText', '')}, {size}, ready")
    with Client(found, means.clock, means.chance) as client:
        servers.register(client, found.data_directory, name, text, means)
        ensure_vault(client, policy, means)
        _grant(client, name, means)
        body = instance_body(client, name, policy)
        client.post(f"{client.vault}/validateForBackup", {"backupInstance": body})
        client.put(f"{client.vault}/backupInstances/{name}", {"properties": body})
        console.note(f"protected: {name} under policy {policy}")
        job = client.post(
            f"{client.vault}/backupInstances/{name}/backup", backup_body(client, policy)
        )
        if not wait:
            number = job["jobId"].rpartition("/")[2]
            console.say(f"the first backup runs: strongroom jobs --follow {number}")
            return
        _finish(client, name, job["jobId"], common, means)


def _finish(client: Client, name: str, job: str, common: Common, means: Means) -> None:
    ended = follow(client, job, f"first backup of {name}", means.clock)
    point = ended["extendedInfo"]["targetRecoverPoint"]["recoveryPointID"]
    if common.output == "json":
        console.as_json({"server": name, "recoveryPoint": point})
        return
    console.say(f"{name} is protected, and its first recovery point is {point}")
    console.say(f"portal: {client.found.portal}")
    console.say(f"next: strongroom points {name}")
    console.say(f"      strongroom restore {name} --to-dir /new/directory")


def name_of(conninfo: str) -> str:
    """A server's name from its host: letters, digits and hyphens."""
    if "://" in conninfo:
        host = urlsplit(conninfo).hostname or ""
    else:
        match = _HOST.search(conninfo)
        host = match[1] if match else ""
    if not host or host.startswith("/"):
        host = "local-postgres"
    found = re.sub(r"[^a-zA-Z0-9]+", "-", host).strip("-")[:63]
    return found if len(found) >= 3 else f"pg-{found}"


def ensure_vault(client: Client, policy: str, means: Means) -> None:
    """The vault and the policy are there; the built-in one is made."""
    del means
    storage = [{"datastoreType": "VaultStore", "type": "LocallyRedundant"}]
    try:
        client.get(client.vault)
    except NotFound:
        client.put(
            client.vault,
            {
                "location": client.found.location,
                "identity": {"type": "SystemAssigned"},
                "properties": {"storageSettings": storage},
            },
        )
    path = f"{client.vault}/backupPolicies/{policy}"
    try:
        client.get(path)
    except NotFound:
        if policy != DEFAULT_POLICY:
            raise
        client.put(path, {"properties": ten_years_policy()})


def _grant(client: Client, name: str, means: Means) -> None:
    """The vault's identity gets its two roles; having them already is as good."""
    principal = client.get(client.vault)["identity"]["principalId"]
    for role, scope in ((LONG_TERM_RETENTION, client.server(name)), (READER, client.group)):
        _assign(client, role, scope, principal, means)


def _assign(
    client: Client, role: RoleDefinition, scope: str, principal: str, means: Means
) -> None:
    guid = str(UUID(bytes=means.chance.bytes(16), version=4))
    home = f"/subscriptions/{client.found.subscription}/providers/Microsoft.Authorization"
    body = {
        "properties": {
            "roleDefinitionId": f"{home}/roleDefinitions/{role.id}",
            "principalId": principal,
            "principalType": "ServicePrincipal",
        }
    }
    try:
        client.put(f"{scope}/providers/Microsoft.Authorization/roleAssignments/{guid}", body)
    except Conflict as error:
        if error.code != "RoleAssignmentExists":
            raise


def instance_body(client: Client, name: str, policy: str) -> dict[str, Any]:
    """ARM's BackupInstance."""
    server = client.server(name)
    return {
        "objectType": "BackupInstance",
        "friendlyName": name,
        "dataSourceInfo": {
            "objectType": "Datasource",
            "datasourceType": DATASOURCE_TYPE,
            "resourceID": server,
            "resourceName": name,
            "resourceType": DATASOURCE_TYPE,
            "resourceLocation": client.found.location,
            "resourceUri": server,
        },
        "policyInfo": {"policyId": f"{client.vault}/backupPolicies/{policy}"},
    }


def backup_body(client: Client, policy: str) -> dict[str, Any]:
    """A backup by the policy's first rule."""
    found = client.get(f"{client.vault}/backupPolicies/{policy}")["properties"]
    rules = [r for r in found["policyRules"] if r["objectType"] == "AzureBackupRule"]
    return {"backupRuleOptions": {"ruleName": rules[0]["name"], "triggerOption": {}}}


def policy_of(client: Client, name: str) -> str:
    """The policy that protects a server."""
    found = client.get(f"{client.vault}/backupInstances/{name}")["properties"]
    return str(found["policyInfo"]["policyId"].rpartition("/")[2])


def facts_of(point: dict[str, Any]) -> dict[str, Any]:
    """What a recovery point says of itself."""
    told: dict[str, Any] = json.loads(
        point["properties"]["recoveryPointDataStoresDetails"][0]["metaData"] or "{}"
    )
    return told
