"""What queries over everything go through: all that the caller may list, vault by vault."""

from collections.abc import Iterator

import sqlalchemy as sa

from strongroom.catalog.protection import instances as instance_rows
from strongroom.catalog.resources import vaults as vault_rows
from strongroom.catalog.work import jobs as job_rows
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.protection import instances
from strongroom.control.work import jobs
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.page import Mark
from strongroom.model.work.job import Job

DAYS = 14  # of jobs, as in Azure
MOST = 10_000  # jobs, the newest
_AT_ONCE = 500


def all_instances(control: Control, caller: Caller) -> Iterator[tuple[VaultRef, sa.RowMapping]]:
    """Every backup instance that the caller may list, by vault and name; none that is deleted."""
    for vault in _vaults(control, caller, instances.READ):
        with control.database.reading() as connection:
            rows = instance_rows.list_of_vault(connection, vault["id"])
        for row in sorted(rows, key=lambda each: str(each["name"]).lower()):
            yield _ref(vault), row


def recent_jobs(control: Control, caller: Caller) -> Iterator[tuple[VaultRef, Job]]:
    """Jobs of the last fourteen days, vault by vault, the newest of each first."""
    since, left = control.clock.now().add(hours=-24 * DAYS), MOST
    for vault in _vaults(control, caller, jobs.ACTION):
        after: Mark | None = None
        while left > 0:
            most = min(left, _AT_ONCE)
            with control.database.reading() as connection:
                rows = job_rows.page_of_vault(connection, vault["id"], after, most)
            recent = [job for job in rows if job.started_at >= since]
            yield from ((_ref(vault), job) for job in recent)
            left -= len(recent)
            if len(recent) < most:
                break
            after = Mark(rows[-1].started_at, rows[-1].id)


def _vaults(control: Control, caller: Caller, action: str) -> list[sa.RowMapping]:
    """Those whose instances, or jobs, the caller may list; by name, however a database sorts."""
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        found = [
            row
            for row in vault_rows.list_of_group(connection, None)
            if rights.may(action, arm.vault_id_of(subscription, _ref(row)))
        ]
    return sorted(found, key=lambda row: _ref(row).key[::-1])


def _ref(row: sa.RowMapping) -> VaultRef:
    return VaultRef(resource_group=row["resource_group"], name=row["name"])
