"""What it takes to protect a server that is registered, and to begin a backup of it."""

from typing import Any

from strongroom.cli import console
from strongroom.cli.vault import Vault
from strongroom.model.errors import Conflict, Failed
from strongroom.model.job import JobStatus
from strongroom.model.logical import LOGICAL


def start_backup(vault: Vault, server: str, *, full: bool = False, logical: bool = False) -> str:
    """Begin a backup on demand, or find the one that runs already: the job's id."""
    instance = vault.need_instance(server)
    options: dict[str, Any] = {"ruleName": vault.backup_rule(instance)}
    if full or logical:
        kind = {"backupType": LOGICAL} if logical else {}
        options["strongroom"] = {"full": full, **kind}
    try:
        told = vault.rest.post(f"{vault.instance(server)}/backup", {"backupRuleOptions": options})
    except Conflict:
        running = running_backup(vault, server)
        if running is None:
            raise
        return running
    return str(told["jobId"])


def running_backup(vault: Vault, server: str) -> str | None:
    """The id of the backup of a server that is under way."""
    for job in vault.jobs():
        told = job["properties"]
        running = told["status"] == JobStatus.IN_PROGRESS.value
        if running and told["operation"] == "Backup" and told["dataSourceName"] == server:
            return str(job["id"])
    return None


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
