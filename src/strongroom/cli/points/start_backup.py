"""Begin a backup on demand, or find the one that runs."""

from typing import Any

from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Conflict
from strongroom.model.work.job import JobStatus
from strongroom.model.work.logical import LOGICAL


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
