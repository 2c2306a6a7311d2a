"""Drills of the whole installation: what they found, when the next one is due, which are late."""

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points import drills as rows
from strongroom.catalog.protection import instances, protection
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.overview.fleet import Fleet, Ship
from strongroom.control.points.drills import READ
from strongroom.model.arm import VaultRef, instance_id_of, vault_id_of
from strongroom.model.errors import NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.points.drill_turns import is_late, next_at
from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.work.drill import Drill

MOST = 200  # drills that are told


class Round(msgspec.Struct, kw_only=True, frozen=True):
    """How one instance stands. days: between two drills by policy; 0: none by itself.

    next_at None: one is due by now, as soon as no other job of the instance is under way.
    """

    ship: Ship
    days: int
    next_at: Instant | None
    late: bool


class Rounds(msgspec.Struct, kw_only=True, frozen=True):
    """Every instance that the caller may see, and the newest drills, each with its instance."""

    rounds: list[Round]
    drills: list[tuple[Ship, Drill]]


def see_rounds(control: Control, caller: Caller, fleet: Fleet) -> Rounds:
    """Of the instances of `fleet`; drills of those whose drills the caller may read."""
    with control.database.reading() as connection:
        seen = _seen(control, connection, caller, fleet)
        rounds = _rounds(connection, seen, control.clock.now())
        newest = rows.newest(connection, MOST)
    found = [(seen[each.instance_id], each) for each in newest if each.instance_id in seen]
    return Rounds(rounds=rounds, drills=found)


def rounds_by_policy(control: Control, caller: Caller, fleet: Fleet) -> list[Round]:
    """The same of those alone that are drilled by themselves and have a point to drill."""
    with control.database.reading() as connection:
        seen = _seen(control, connection, caller, fleet)
        rounds = _rounds(connection, seen, control.clock.now())
    return [each for each in rounds if each.days and each.ship.points]


def _seen(
    control: Control, connection: sa.Connection, caller: Caller, fleet: Fleet
) -> dict[str, Ship]:
    rights, subscription = Rights(connection, caller), control.installation.subscription_id
    return {
        ship.id: ship
        for ship in fleet.ships
        if rights.may(READ, vault_id_of(subscription, ship.vault))  # asked once for all of it
        or rights.may(READ, instance_id_of(subscription, ship.vault, ship.name))
    }


def _rounds(connection: sa.Connection, seen: dict[str, Ship], now: Instant) -> list[Round]:
    days = {
        key: settings_of(told).drill_days
        for key, told in instances.properties_of_all(connection).items()
    }
    attempts = rows.attempts_of_all(connection) if any(days.values()) else {}
    return [
        Round(
            ship=ship,
            days=days[key],
            next_at=next_at(days[key], attempts.get(key, {}), elders=ship.points > 1),
            late=is_late(days[key], ship.oldest_at, ship.drilled_at, now),
        )
        for key, ship in seen.items()
    ]


def get_drill(control: Control, caller: Caller, vault: VaultRef, name: str, drill: str) -> Drill:
    """One drill of an instance. Raises NotFound."""
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ, scope)
        found = rows.get(connection, drill.lower())
        owner = protection.by_name(connection, vault.resource_group, vault.name, name)
        if owner.instance_id != found.instance_id:
            raise NotFound(f"{name!r} has no drill {drill[:64]}")
        return found
