"""What it takes to protect a server that is registered."""

from typing import Any

from strongroom.cli.basis import console
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Failed


def configure(vault: Vault, server: str, policy: str) -> list[dict[str, Any]]:
    """A server that is registered is protected by a policy. Returns the points that there are."""
    vault.grant_roles(server)
    body = vault.protection(server, policy)
    present = vault.rest.find(vault.instance(server))
    if present is not None:
        same = present["properties"]["policyInfo"]["policyId"].lower()
        good = present["properties"]["currentProtectionState"] == "ProtectionConfigured"
        if good and same == vault.policy(policy).lower():
            console.note(f"{server} is protected by policy {policy} already")
            return vault.points(server)
    vault.rest.post(f"{vault.home}/validateForBackup", {"backupInstance": body})
    found = vault.rest.put(vault.instance(server), {"properties": body})
    state = found["properties"]["currentProtectionState"]
    if state != "ProtectionConfigured":
        raise Failed(f"{server} is {state}", hint="`strongroom doctor` says more.")
    console.note(f"protected {server} in vault {vault.connection.vault} by policy {policy}")
    return vault.points(server)
