"""The real `az` against a control plane of ours, by nothing but its own registered cloud.

Heavy (730 MB installed), so it is not part of `make test`: `make compat`.
"""

import datetime
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from arm_world import APP, DATASOURCE, SECRET, SUBSCRIPTION, TENANT, ArmWorld, server_id, vault_id
from house.tree import ROOT
from strongroom.model.identities.access import READER
from strongroom.model.protection.policy_templates import azure_default_policy

AZ = ROOT / ".cache" / "az" / "bin" / "az"
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-az"
VAULT = vault_id("v-az", "rg-az")
SERVER = server_id("pg-az", "rg-az")
INSTANCE = f"{VAULT}/backupInstances/pg-az"
VERSION = "api-version=2026-06-01"


class Az:
    """The command, with a configuration of its own."""

    def __init__(self, world: ArmWorld, home: Path) -> None:
        self.world, self.home = world, home
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AZURE_CONFIG_DIR": str(home / "azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_NO_COLOR": "true",
            "REQUESTS_CA_BUNDLE": world.ca,
        }

    def run(self, *words: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [AZ, *words, "--only-show-errors", "-o", "json"],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert (done.returncode == 0) is succeeds, done.stderr + done.stdout
        return done

    def __call__(self, *words: str) -> Any:
        out = self.run(*words).stdout
        return json.loads(out) if out.strip() else None

    def rest(self, method: str, url: str, body: object = None) -> Any:
        more = () if body is None else ("-b", json.dumps(body))
        mark = "&" if "?" in url else "?"
        return self("rest", "-m", method, "-u", f"{url}{mark}{VERSION}", *more)


@pytest.fixture(scope="module")
def az(world: ArmWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Az]:
    found = Az(world, tmp_path_factory.mktemp("az"))
    found("cloud", "register", "-n", "House", "--endpoint-resource-manager", world.url)
    found("cloud", "set", "-n", "House")
    found("config", "set", "core.instance_discovery=false")
    words = ("login", "--service-principal", "-u", APP, "-p", SECRET, "-t", TENANT)
    (account,) = found(*words)
    assert account["id"] == SUBSCRIPTION
    yield found
    found("logout")
    found("cloud", "set", "-n", "AzureCloud")


def test_the_account_is_this_installation(az: Az) -> None:
    told = az("account", "show")
    assert (told["id"], told["tenantId"], told["state"]) == (SUBSCRIPTION, TENANT, "Enabled")
    assert az("account", "get-access-token")["tokenType"] == "Bearer"


def test_groups_vaults_and_policies_are_made_and_shown(az: Az) -> None:
    assert az("group", "create", "-n", "rg-az", "-l", "local")["name"] == "rg-az"
    assert "rg-az" in {each["name"] for each in az("group", "list")}
    assert az("group", "exists", "-n", "rg-az") is True
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {}}
    assert az.rest("put", VAULT, body)["id"] == VAULT
    policy = {"properties": azure_default_policy()}
    assert az.rest("put", f"{VAULT}/backupPolicies/weekly", policy)["name"] == "weekly"
    shown = az("resource", "show", "--ids", VAULT, "--api-version", "2026-06-01")
    assert shown["type"] == "Microsoft.DataProtection/backupVaults"
    listed = az.rest("get", f"{GROUP_ID}/providers/Microsoft.DataProtection/backupVaults")
    assert [each["name"] for each in listed["value"]] == ["v-az"]


def test_a_server_is_protected_with_roles_that_az_gives(az: Az) -> None:
    agent = az.world.agent()
    az.rest("put", SERVER, {"properties": {"strongroom": {"agentServer": "main"}}})
    az.world.agent_says(agent, "main")
    principal = az.rest("get", VAULT)["identity"]["principalId"]
    who = ("--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal")
    for role, scope in (
        ("PostgreSQL Flexible Server Long Term Retention Backup Role", SERVER),
        ("Reader", GROUP_ID),
    ):
        made = az("role", "assignment", "create", *who, "--role", role, "--scope", scope)
        assert made["principalId"] == principal
        again = az("role", "assignment", "create", *who, "--role", role, "--scope", scope)
        assert again["id"] == made["id"]
    instance = {
        "objectType": "BackupInstance",
        "dataSourceInfo": {
            "objectType": "Datasource",
            "datasourceType": DATASOURCE,
            "resourceID": SERVER,
        },
        "policyInfo": {"policyId": f"{VAULT}/backupPolicies/weekly"},
    }
    az.rest("put", INSTANCE, {"properties": instance})
    assert az.rest("get", INSTANCE)["properties"]["friendlyName"]


def test_roles_are_listed_made_and_taken_away(az: Az) -> None:
    (reader,) = az("role", "definition", "list", "--name", "Reader")
    assert reader["roleType"] == "BuiltInRole"
    role = {
        "Name": "Vault watcher",
        "Description": "looks",
        "Actions": ["Microsoft.DataProtection/*/read"],
        "AssignableScopes": [GROUP_ID],
    }
    made = az("role", "definition", "create", "--role-definition", json.dumps(role))
    assert made["roleName"] == "Vault watcher"
    found = az("role", "definition", "list", "--custom-role-only", "--scope", GROUP_ID)
    assert [each["roleName"] for each in found] == ["Vault watcher"]
    principal, *_ = az.world.principal("az-watcher", [])
    who = ("--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal")
    words = ("--role", "Vault watcher", "--scope", GROUP_ID)
    given = az("role", "assignment", "create", *who, *words)
    listed = az(
        "role", "assignment", "list", "--scope", GROUP_ID, "--fill-principal-name", "false"
    )
    assert given["id"] in {each["id"] for each in listed}
    az("role", "assignment", "delete", "--ids", given["id"])
    az("role", "definition", "delete", "--name", "Vault watcher", "--scope", GROUP_ID)


def test_an_error_is_shown_as_azures_are(az: Az) -> None:
    done = az.run(
        "rest", "-m", "get", "-u", f"{VAULT}/backupPolicies/none?{VERSION}", succeeds=False
    )
    assert "Not Found" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_signs_in_with_its_certificate(az: Az, tmp_path: Path) -> None:
    key, certificate = a_certificate()
    home = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization"
    told = {"properties": {"certificate": certificate}}
    made = az.rest("put", f"{home}/servicePrincipals/robot", told)
    role = f"{home}/roleDefinitions/{READER.id}"
    given = {"properties": {"roleDefinitionId": role, "principalId": made["id"]}}
    guid = "0b7e0b7e-0000-4000-8000-00000000000a"
    az.rest("put", f"{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments/{guid}", given)
    file = tmp_path / "robot.pem"
    file.touch(0o600)
    file.write_text(key + certificate)
    words = ("login", "--service-principal", "-u", made["properties"]["appId"], "-t", TENANT)
    try:
        az(*words, "--certificate", str(file))
        assert [each["name"] for each in az("group", "list")] == ["rg-az"]
        az.run("group", "create", "-n", "rg-robot", "-l", "local", succeeds=False)
    finally:
        az("login", "--service-principal", "-u", APP, "-p", SECRET, "-t", TENANT)


def a_certificate() -> tuple[str, str]:
    """(private key, certificate), PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "robot")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start)
    made = builder.not_valid_after(start + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    form, open_text = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(pem, form, open_text).decode(), made.public_bytes(pem).decode()


def test_a_vault_goes_as_a_resource(az: Az) -> None:
    az.rest("put", vault_id("v-gone", "rg-az"), {"location": "local"})
    az("resource", "delete", "--ids", vault_id("v-gone", "rg-az"), "--api-version", "2026-06-01")
    listed = az.rest("get", f"{GROUP_ID}/providers/Microsoft.DataProtection/backupVaults")
    assert "v-gone" not in {each["name"] for each in listed["value"]}


def test_a_group_is_tagged_refused_and_deleted(az: Az) -> None:
    refused = az.run("group", "delete", "-n", "rg-az", "-y", succeeds=False)
    assert "ResourceGroupDeletionBlocked" in refused.stderr
    az("group", "create", "-n", "rg-gone", "-l", "local")
    assert az("group", "update", "-n", "rg-gone", "--set", "tags.a=b")["tags"] == {"a": "b"}
    az.rest("put", vault_id("v-in", "rg-gone"), {"location": "local"})
    (found,) = az("resource", "list", "-g", "rg-gone")
    assert found["id"] == vault_id("v-in", "rg-gone")
    az("group", "delete", "-n", "rg-gone", "-y")
    assert az("group", "exists", "-n", "rg-gone") is False
