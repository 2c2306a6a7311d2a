"""How much there is: alerts that nobody sees to, requests for a second person, jobs under way."""

from dataclasses import dataclass

from strongroom.catalog.oversight import alerts as alert_rows
from strongroom.catalog.oversight import approvals as approval_rows
from strongroom.catalog.protection import fleet as fleet_rows
from strongroom.catalog.resources import guards
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import guard_id_of
from strongroom.control.basis.rights import Rights
from strongroom.control.oversight import approvals
from strongroom.control.overview import alerts
from strongroom.control.overview.fleet import Fleet
from strongroom.control.work import jobs
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """Of what the caller may see."""

    alerts: int
    approvals: int
    running: int


def count_open(control: Control, caller: Caller, seen: Fleet) -> OpenCounts:
    """`seen`: their instances. As many queries for a thousand of those as for one."""
    ids = {ship.id for ship in seen.ships}
    scope = arm.subscription_id_of(control.installation.subscription_id)
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        everything = rights.may(alerts.READ, scope)
        subjects = alert_rows.unseen(connection)
        waiting = 0
        for row in approval_rows.waiting(connection, control.clock.now()):
            guard = guard_id_of(control, guards.by_id(connection, row["guard_id"]))
            mine = row["asked_by"] == caller.principal_id
            waiting += mine or rights.may(approvals.READ_GUARD, guard)
        running = sum(
            count
            for group, vault, count in fleet_rows.running_by_vault(connection)
            if rights.may(jobs.ACTION, _vault_id(control, group, vault))
        )
    return OpenCounts(
        alerts=sum(everything or each in ids for each in subjects),
        approvals=waiting,
        running=running,
    )


def _vault_id(control: Control, group: str, name: str) -> str:
    ref = VaultRef(resource_group=group, name=name)
    return arm.vault_id_of(control.installation.subscription_id, ref)
