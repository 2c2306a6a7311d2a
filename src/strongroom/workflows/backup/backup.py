"""A backup, told as it happens. The receipt is the commit; the row only repeats it."""

from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.wal import wal
from strongroom.catalog.work import jobs
from strongroom.control.basis import access
from strongroom.durable.engine import Story
from strongroom.model.errors import VaultError
from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.protection.backup_type import PHYSICAL
from strongroom.model.wal import WalTail
from strongroom.model.work.job import Job
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.operation import BackupOrder
from strongroom.workflows.backup import dump
from strongroom.workflows.backup.commit import commit_point, point_id_of, record_point
from strongroom.workflows.backup.parents import Choice, choose_parent
from strongroom.workflows.basis import agent_work
from strongroom.workflows.basis.means import Means


def back_up(means: Means, story: Story, job_id: str) -> None:
    """The durable story of one backup job."""
    try:
        story.step("check readiness", _check_ready, means, job_id)
        story.step("offer to the agent", _offer, means, job_id)
        told = agent_work.run_on_agent(means, story, job_id)
        story.step("verify storage", agent_work.begin_step, means, job_id, "Verify storage")
        committed = story.step("commit", commit_point, means, job_id, told)
        story.step("record", record_point, means, job_id, committed)
    except VaultError as error:
        story.step("fail", agent_work.fail_job, means, job_id, error.to_dict())


def _load(means: Means, job_id: str) -> tuple[Job, Protection]:
    with means.control.database.reading() as connection:
        job = jobs.get(connection, job_id)
        return job, protection.by_id(connection, job.instance_id)


def _check_ready(means: Means, job_id: str) -> None:
    """The vault's identity still has its roles.

    Whether the server is ready the agent finds out: what it told a while ago may be over.
    """
    agent_work.begin_step(means, job_id, "Check readiness")
    _, found = _load(means, job_id)
    with means.control.database.reading() as connection:
        access.check_vault_identity(
            means.control, connection, found.server_id, found.vault_principal_id
        )


def _log_kept(means: Means, instance_id: str) -> WalTail:
    with means.control.database.reading() as connection:
        return wal.tail_of(wal.stream_of(connection, instance_id))


def _offer(means: Means, job_id: str) -> None:
    agent_work.begin_step(means, job_id, "Read and store data")
    job, found = _load(means, job_id)
    catalogue = means.keyring.public(job.instance_id, "catalogue")
    data = means.keyring.public(job.instance_id, "data")
    point = point_id_of(job.id)
    kind = dump.backup_type_of(job, found)
    choice = Choice() if kind == LOGICAL else choose_parent(means, job, found)
    settings = settings_of(found.properties)
    order = BackupOrder(
        server=found.agent_server,
        job_id=job.id,
        recovery_point_id=point,
        instance_id=job.instance_id,
        generation=point,
        delta_name="",
        catalogue_key_id=catalogue.key_id,
        catalogue_public_key=catalogue.to_bytes(),
        data_key_id=data.key_id,
        data_public_key=data.to_bytes(),
        compression_level=settings.compression_level,
        bandwidth=settings.bandwidth,
        parallelism=settings.parallelism,
        parent=choice.parent,
        resume=True,
        backup_type=kind,
        dump=None if kind == PHYSICAL else dump.wish_of(means, job),
        log=_log_kept(means, job.instance_id),
    )
    if choice.why_full:
        with means.control.database.writing() as connection:
            jobs.set_order(connection, job.id, {**job.order, "why_full": choice.why_full})
    agent_work.offer(means, agent_work.operation_of(job, found, "backup", order))
