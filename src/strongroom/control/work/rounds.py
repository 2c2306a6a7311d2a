"""What pages show of the whole installation: jobs of every vault, servers not protected."""

import sqlalchemy as sa

from strongroom.catalog.protection import fleet as fleet_rows
from strongroom.catalog.work import agents
from strongroom.catalog.work import jobs as job_rows
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.resources import servers
from strongroom.control.work import jobs
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.work.job import ANY_JOB, Job, JobFilter

MOST_JOBS = 200


def vault_of(job: Job) -> VaultRef:
    """Where a job belongs."""
    return VaultRef(resource_group=job.resource_group, name=job.vault_name)


def running_jobs(control: Control, caller: Caller) -> list[Job]:
    """Those under way that the caller may see, the oldest first."""
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        found = [job_rows.get(connection, each) for each in job_rows.list_running(connection)]
        seen = [job for job in found if _sees(control, rights, job)]
    return sorted(seen, key=lambda job: job.started_at)


def ended_jobs(
    control: Control,
    caller: Caller,
    instance: str = "",
    limit: int = MOST_JOBS,
    wanted: JobFilter = ANY_JOB,
) -> list[Job]:
    """The newest that have ended; `instance`: of this one's id alone."""
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        found = job_rows.list_ended(connection, instance, limit, wanted)
        return [job for job in found if _sees(control, rights, job)]


def _sees(control: Control, rights: Rights, job: Job) -> bool:
    scope = arm.vault_id_of(control.installation.subscription_id, vault_of(job))
    return rights.may(jobs.ACTION, scope)


def unprotected_servers(control: Control, caller: Caller) -> list[sa.RowMapping]:
    """Servers that agents told of and no instance protects."""
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        return [
            row
            for row in fleet_rows.unprotected_servers(connection)
            if rights.may(servers.READ, _scope(control, row))
        ]


def _scope(control: Control, row: sa.RowMapping) -> str:
    subscription = control.installation.subscription_id
    return arm.server_id_of(subscription, row["resource_group"], row["name"])


def list_agents(control: Control, caller: Caller) -> list[sa.RowMapping]:
    """Every agent, for whoever may see the servers of the whole installation."""
    with control.database.reading() as connection:
        scope = arm.subscription_id_of(control.installation.subscription_id)
        if not Rights(connection, caller).may(servers.READ, scope):
            return []
        return agents.list_all(connection)
