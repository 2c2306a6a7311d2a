"""What a list of jobs offers: to stop what is under way, and to try again what came to nothing."""

from collections.abc import Sequence

from strongroom.catalog.protection import fleet as catalog
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.points import backups, drills, verifications
from strongroom.control.restore import restores
from strongroom.control.work import jobs, rounds
from strongroom.model import arm
from strongroom.model.identities.access import Caller
from strongroom.model.work.job import UNCANCELLABLE, Job, JobKind, JobStatus

_ACTIONS = {
    JobKind.BACKUP: backups.ACTION,
    JobKind.DRILL: drills.ACTION,
    JobKind.VERIFY: verifications.ACTION,
    JobKind.RESTORE: restores.RESTORE,
}
_CAME_TO_NOTHING = frozenset({JobStatus.FAILED, JobStatus.CANCELLED})


def may_stop(control: Control, caller: Caller, seen: Sequence[Job]) -> frozenset[str]:
    """The ids of those that are under way, can be cancelled, and are the caller's to cancel."""
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        return frozenset(
            job.id
            for job in seen
            if job.status is JobStatus.IN_PROGRESS
            and job.kind not in UNCANCELLABLE
            and rights.may(jobs.CANCEL, arm.vault_id_of(subscription, rounds.vault_of(job)))
        )


def may_try_again(
    control: Control, caller: Caller, seen: Sequence[Job], *, newest: bool = True
) -> frozenset[str]:
    """The ids of those that came to nothing and that the caller may begin anew.

    `newest`: but not where the instance has had, or has, another of the kind since.
    """
    failed = [job for job in seen if job.status in _CAME_TO_NOTHING and job.kind in _ACTIONS]
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        able = catalog.able_to_try_again(connection, [job.id for job in failed], newest=newest)
        return frozenset(
            job.id
            for job in failed
            if job.id in able
            and rights.may(
                _ACTIONS[job.kind],
                arm.instance_id_of(subscription, rounds.vault_of(job), job.instance_name),
            )
        )
