"""Look at jobs."""

from strongroom.catalog import jobs as catalog
from strongroom.catalog import protection
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef, vault_id_of
from strongroom.model.errors import NotFound
from strongroom.model.job import Job

ACTION = "Microsoft.DataProtection/backupVaults/backupJobs/read"


def list_jobs(control: Control, caller: Caller, vault: VaultRef) -> list[Job]:
    """The newest jobs of a vault first."""
    with control.database.reading() as connection:
        scope = vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, ACTION, scope)
        vault_id = protection.vault_id(connection, vault.resource_group, vault.name)
        return catalog.list_of_vault(connection, vault_id)


def get_job(control: Control, caller: Caller, vault: VaultRef, job_id: str) -> Job:
    """One job of this vault."""
    with control.database.reading() as connection:
        scope = vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, ACTION, scope)
        vault_id = protection.vault_id(connection, vault.resource_group, vault.name)
        job = catalog.get(connection, job_id.lower())
        if job.vault_id != vault_id:
            raise NotFound(f"vault {vault.name!r} has no job {job_id[:64]}")
        return job
