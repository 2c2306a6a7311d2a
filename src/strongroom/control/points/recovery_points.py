"""Look at recovery points."""

from dataclasses import dataclass

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points import holds
from strongroom.catalog.points import recovery_points as catalog
from strongroom.catalog.protection import protection
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model import page
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.identities.access import Caller
from strongroom.model.page import Mark
from strongroom.model.points.recovery_point import RecoveryPoint, Shelf

ACTION = "Microsoft.DataProtection/backupVaults/backupInstances/recoveryPoints/read"


def list_recovery_points(
    control: Control, caller: Caller, vault: VaultRef, instance_name: str
) -> list[RecoveryPoint]:
    """The points of an instance, newest first."""
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, ACTION, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        points = catalog.list_of_instance(connection, found.instance_id)
        return _with_holds(connection, found.instance_id, points)


def outline_recovery_points(
    control: Control, caller: Caller, vault: VaultRef, instance_name: str, whole: int
) -> list[RecoveryPoint]:
    """The same; of all but the newest `whole` without their contents, proofs and holds."""
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, ACTION, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        points = catalog.outline_of_instance(connection, found.instance_id)
        newest = catalog.page_of_instance(connection, found.instance_id, None, whole)
        told = {point.id: point for point in _with_holds(connection, found.instance_id, newest)}
    return [told.get(point.id, point) for point in points]


def page_recovery_points(
    control: Control,
    caller: Caller,
    instance: tuple[VaultRef, str],
    after: str,
    between: tuple[Instant | None, Instant | None],
) -> tuple[list[RecoveryPoint], str]:
    """A page of an instance's points taken `between`, newest first, and where the next begins."""
    mark = page.read_mark(after)
    vault, name = instance
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, ACTION, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        points = catalog.page_of_instance(
            connection, found.instance_id, mark, page.SIZE + 1, between
        )
        shown = _with_holds(connection, found.instance_id, points[: page.SIZE])
    last = shown[-1] if len(points) > page.SIZE else None
    return shown, "" if last is None else str(Mark(last.taken_at, last.id))


@dataclass(frozen=True, slots=True)
class Browsed:
    """A page of points; how many there are like them, and of all kinds; what tags and kinds."""

    points: list[RecoveryPoint]
    count: int
    of: int
    tags: list[str]
    kinds: list[str]


def browse_recovery_points(
    control: Control,
    caller: Caller,
    instance: tuple[VaultRef, str],
    shelf: Shelf,
    number: int,
) -> Browsed:
    """The page of this number, from 1 on, of an instance's points, newest first."""
    vault, name = instance
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, ACTION, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        shelves = catalog.shelves_of(connection, found.instance_id)
        skip = (number - 1) * page.SIZE
        here = connection, found.instance_id
        points, count = catalog.look_through(*here, shelf, skip, page.SIZE)
        return Browsed(
            points=_with_holds(*here, points),
            count=count,
            of=sum(each for _, _, each in shelves),
            tags=sorted({tag for tag, _, _ in shelves}),
            kinds=sorted({kind for _, kind, _ in shelves}),
        )


def get_recovery_point(
    control: Control, caller: Caller, vault: VaultRef, instance_name: str, point_id: str
) -> RecoveryPoint:
    """One point of an instance."""
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, ACTION, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        point = catalog.get(connection, found.instance_id, point_id)
        return _with_holds(connection, found.instance_id, [point])[0]


def _with_holds(
    connection: sa.Connection, instance_id: str, points: list[RecoveryPoint]
) -> list[RecoveryPoint]:
    """Each with the names of the legal holds that keep it among its facts."""
    held = holds.names_on(connection, instance_id, [point.id for point in points])
    for point in points:
        if point.id in held:
            point.facts = {**point.facts, "legalHolds": held[point.id]}
    return points
