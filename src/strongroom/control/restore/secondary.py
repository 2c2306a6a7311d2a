"""The second copy: what can be restored from it, and restores that need the first for nothing.

Each asks first whether the caller may, whether the region is the second's, and whether the vault
has cross-region restore switched on: `_enter`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control, Second, need_second
from strongroom.control.basis.rights import Rights
from strongroom.control.points.recovery_points import get_recovery_point, page_recovery_points
from strongroom.control.resources.vaults import READ, need_vault
from strongroom.control.restore import restores, validations
from strongroom.control.restore.validations import Validation
from strongroom.control.work.jobs import get_job, page_jobs
from strongroom.model import arm, page
from strongroom.model.arm import VaultRef
from strongroom.model.errors import NotFound, Precondition, StoreUnavailable
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.page import Mark
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.resources.second_copy import trouble_of
from strongroom.model.resources.vault import crosses_regions
from strongroom.model.work.job import ANY_JOB, Job, JobFilter, JobKind

_LOCATIONS = "Microsoft.DataProtection/locations"
RESTORE = f"{_LOCATIONS}/crossRegionRestore/action"
VALIDATE = f"{_LOCATIONS}/validateCrossRegionRestore/action"
POINTS = f"{_LOCATIONS}/fetchSecondaryRecoveryPoints/action"
JOB = f"{_LOCATIONS}/fetchCrossRegionRestoreJob/action"
JOBS = f"{_LOCATIONS}/fetchCrossRegionRestoreJobs/action"

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Place:
    """Whose copy is asked for, in which region. `instance` is empty where a vault is meant.

    `source` is the region that the vault is said to be in; empty where nothing is said.
    """

    vault: VaultRef
    instance: str
    location: str
    source: str = ""

    def scope(self, control: Control) -> str:
        """The resource that the caller needs the right for."""
        subscription = control.installation.subscription_id
        if self.instance:
            return arm.instance_id_of(subscription, self.vault, self.instance)
        return arm.vault_id_of(subscription, self.vault)


def offered_place(control: Control, caller: Caller, vault: VaultRef, name: str) -> Place | None:
    """The second copy of an instance, where the caller may restore from it; else None."""
    if control.second is None:
        return None
    place = Place(vault, name, control.second.location)
    with control.database.reading() as connection:
        if not crosses_regions(need_vault(connection, vault)["properties"]):
            return None
        rights, scope = Rights(connection, caller), place.scope(control)
        return place if rights.may(RESTORE, scope) and rights.may(POINTS, scope) else None


def need_point(control: Control, caller: Caller, place: Place, point_id: str) -> None:
    """Raises Precondition where the second copy has not got this point, StoreUnavailable."""
    there = _points(control, caller, place, POINTS)
    found = get_recovery_point(control, caller, place.vault, place.instance, point_id)
    restores.check_second(found, there)


def page_secondary_points(
    control: Control,
    caller: Caller,
    place: Place,
    after: str,
    between: tuple[Instant | None, Instant | None] = (None, None),
) -> tuple[list[RecoveryPoint], str]:
    """A page of those of the instance that are whole at the second endpoint, newest first.

    `between`: from when until when they were taken. And where the next page begins.
    """
    there, instance = _points(control, caller, place, POINTS), (place.vault, place.instance)
    return _page(
        lambda mark: page_recovery_points(control, caller, instance, mark, between),
        lambda point: point.id in there,
        lambda point: Mark(point.taken_at, point.id),
        after,
    )


def restore_from_second(
    control: Control, caller: Caller, place: Place, request: dict[str, Any], request_key: str
) -> OperationId:
    """A restore that reads the second copy alone; the operation names the job."""
    there = _points(control, caller, place, RESTORE)
    asking, asked = (place.vault, place.instance), (request, request_key, RESTORE)
    return restores.begin_restore(control, caller, asking, asked, second=there)


def begin_validation(
    control: Control, caller: Caller, place: Place, request: dict[str, Any], request_key: str
) -> Validation:
    """Could it begin now? As control/restore/validations.py, of the points that are there."""
    there = _points(control, caller, place, VALIDATE)
    asking, asked = (place.vault, place.instance), (request, request_key, VALIDATE)
    return validations.begin_validation(control, caller, asking, asked, second=there)


def page_second_jobs(
    control: Control, caller: Caller, place: Place, after: str, wanted: JobFilter = ANY_JOB
) -> tuple[list[Job], str]:
    """A page of the restores of the vault from the second copy, newest first, and the next."""
    with control.database.reading() as connection:
        _enter(control, connection, caller, place, JOBS)
    if wanted.kind.lower() not in {"", JobKind.RESTORE.value.lower()}:
        return [], ""
    restores_of = wanted._replace(kind=JobKind.RESTORE.value)
    return _page(
        lambda mark: page_jobs(control, caller, place.vault, mark, restores_of),
        lambda job: bool(job.order.get("second")),
        lambda job: Mark(job.started_at, job.id),
        after,
    )


def get_second_job(control: Control, caller: Caller, place: Place, job_id: str) -> Job:
    """One of them."""
    with control.database.reading() as connection:
        _enter(control, connection, caller, place, JOB)
    found = get_job(control, caller, place.vault, job_id)
    if not found.order.get("second"):
        raise NotFound(f"there is no restore {job_id[:64]} from the second copy")
    return found


def second_copy(control: Control, caller: Caller, vault: VaultRef) -> dict[str, Any]:
    """Where it is and how far behind; empty where there is none. Raises StoreUnavailable."""
    scope = arm.vault_id_of(control.installation.subscription_id, vault)
    with control.database.reading() as connection:
        require(control, connection, caller, READ, scope)
    if control.second is None:
        return {}
    return {"location": control.second.location, **control.second.told()}


def trouble_with_second(control: Control) -> str:
    """What is wrong with the second copy; empty when nothing is, or there is none."""
    if control.second is None:
        return ""
    try:
        return trouble_of(control.second.told())
    except StoreUnavailable as error:
        return error.message


def _page(
    turn: Callable[[str], tuple[list[Row], str]],
    is_there: Callable[[Row], bool],
    mark_of: Callable[[Row], Mark],
    after: str,
) -> tuple[list[Row], str]:
    """A page of those rows of a longer list that are there, and where the next one begins."""
    found: list[Row] = []
    while True:
        rows, after = turn(after)
        found += [row for row in rows if is_there(row)]
        if len(found) > page.SIZE:
            return found[: page.SIZE], str(mark_of(found[page.SIZE - 1]))
        if not after:
            return found, ""


def _points(control: Control, caller: Caller, place: Place, action: str) -> set[str]:
    """Those that are whole there. It is asked outside of transactions: it may take its time."""
    with control.database.reading() as connection:
        second = _enter(control, connection, caller, place, action)
        found = _protection(connection, place)
    return second.points(found.instance_id)


def _protection(connection: sa.Connection, place: Place) -> Protection:
    vault = place.vault
    return protection.by_name(connection, vault.resource_group, vault.name, place.instance)


def _enter(
    control: Control, connection: sa.Connection, caller: Caller, place: Place, action: str
) -> Second:
    require(control, connection, caller, action, place.scope(control))
    second = need_second(control)
    if not arm.same_location(place.location, second.location):
        raise arm.invalid(
            f"{place.location[:60]!r} is not the second region", f"use {second.location}"
        )
    vault = need_vault(connection, place.vault)
    if place.source and not arm.same_location(place.source, vault["location"]):
        raise arm.invalid(
            f"sourceRegion {place.source[:60]!r} is not the region of vault {vault['name']}",
            f"send {vault['location']}",
        )
    if not crosses_regions(vault["properties"]):
        raise Precondition(
            f"cross-region restore is not switched on for vault {place.vault.name}",
            hint="strongroom vault set --cross-region-restore; it cannot be switched off again",
            code="UserErrorCrossRegionRestoreNotEnabled",
        )
    return second
