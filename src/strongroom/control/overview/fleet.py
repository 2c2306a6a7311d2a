"""Everything that is protected, at one glance: the two questions, answered for each instance."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.identities import role_assignments
from strongroom.catalog.protection import fleet as catalog
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.protection import instances
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.protection import verdict
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.verdict import Sight


class Ship(msgspec.Struct, kw_only=True, frozen=True):
    """One instance as an overview shows it. `failed`: its newest backup job, if that failed.

    protection and proof: model/protection/verdict.py. Sizes are bytes.
    """

    id: str
    name: str
    vault: VaultRef
    server: str
    agent_id: str
    policy: str
    tags: dict[str, str]
    state: str
    version: int  # of PostgreSQL, as server_version_num; 0: not known
    size: int
    points: int
    oldest_at: Instant | None
    newest_at: Instant | None
    next_at: Instant | None
    promise_seconds: float
    drilled_at: Instant | None
    protection: str
    proof: str
    failed: dict[str, Any] | None = None

    @property
    def look(self) -> str:
        """The worse of its two answers."""
        return verdict.worse(self.protection, self.proof)


class Fleet(msgspec.Struct, kw_only=True, frozen=True):
    """All that the caller may see, by name. is_blind: they hold no role, so there is nothing."""

    ships: list[Ship]
    at: Instant
    is_blind: bool = False

    def protections(self) -> Counter[str]:
        """How many there are of each."""
        return Counter(ship.protection for ship in self.ships)

    def proofs(self) -> Counter[str]:
        """How many there are of each."""
        return Counter(ship.proof for ship in self.ships)


def see_fleet(control: Control, caller: Caller) -> Fleet:
    """Every instance that the caller may see."""
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        found = _fleet(
            control, connection, lambda row: sees(control, rights, _vault(row), row["name"])
        )
        if found.ships or role_assignments.list_of_principals(connection, caller.ids):
            return found
        return msgspec.structs.replace(found, is_blind=True)


def whole_fleet(control: Control) -> Fleet:
    """Every instance, for the service itself."""
    with control.database.reading() as connection:
        return _fleet(control, connection, bool)


def _fleet(
    control: Control, connection: sa.Connection, wanted: Callable[[sa.RowMapping], bool]
) -> Fleet:
    now = control.clock.now()
    promises = {
        policy_id: verdict.promise_of(parse_policy(text))
        for policy_id, text in catalog.policies_in_use(connection).items()
    }
    failed = catalog.last_backups(connection)
    ships = [
        _ship(row, promises[row["policy_id"]], failed.get(row["id"]), now)
        for row in catalog.list_all(connection)
        if wanted(row)
    ]
    return Fleet(ships=ships, at=now)


def sees(control: Control, rights: Rights, vault: VaultRef, name: str) -> bool:
    """Whether somebody may see an instance of this name, there or not."""
    subscription = control.installation.subscription_id
    if rights.may(instances.READ, arm.vault_id_of(subscription, vault)):
        return True
    return rights.may(instances.READ, arm.instance_id_of(subscription, vault, name))


def _vault(row: sa.RowMapping) -> VaultRef:
    return VaultRef(resource_group=row["resource_group"], name=row["vault_name"])


def _ship(row: sa.RowMapping, promise: float, failed: sa.RowMapping | None, now: Instant) -> Ship:
    sight = Sight(
        state=row["state"],
        created_at=row["created_at"],
        newest_at=row["newest_at"],
        promise_seconds=promise,
        drill=row["drill"] or "",
        drilled_at=row["drilled_at"],
    )
    return Ship(
        id=row["id"],
        name=row["name"],
        vault=_vault(row),
        server=row["server_name"],
        agent_id=row["agent_id"],
        policy=row["policy_name"],
        tags=row["tags"] or {},
        state=row["state"],
        version=row["version_number"] or 0,
        size=int(row["size_bytes"] or 0),
        points=row["points"],
        oldest_at=row["oldest_at"],
        newest_at=row["newest_at"],
        next_at=row["next_fire_at"],
        promise_seconds=promise,
        drilled_at=row["drilled_at"],
        protection=verdict.protection(sight, now),
        proof=verdict.proof(sight, now),
        failed=None if failed is None else dict(failed),
    )


def first_rule(control: Control, policy_id: str) -> str:
    """The name of a policy's first backup rule: what a backup on demand goes by."""
    with control.database.reading() as connection:
        text = catalog.policies_in_use(connection)[policy_id]
    return parse_policy(text).backup_rules[0].name
