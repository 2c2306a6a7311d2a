"""What months have cost: written while they last, and left alone once they are closed."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from strongroom.catalog.tables.tables import instances, resource_groups, vaults
from strongroom.catalog.tables.usage_tables import bills
from strongroom.catalog.usage.costs import redundancy_of
from strongroom.model.oversight.bill import Bill, Billed


def billed(connection: sa.Connection, instance_id: str) -> Billed:
    """As it is called now."""
    query = (
        sa.select(
            instances.c.name,
            instances.c.tags,
            instances.c.created_at,
            vaults.c.name.label("vault"),
            vaults.c.properties,
            resource_groups.c.name.label("resource_group"),
        )
        .join(vaults, instances.c.vault_id == vaults.c.id)
        .join(resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key)
        .where(instances.c.id == instance_id)
    )
    row = connection.execute(query).mappings().one()
    return Billed(
        instance_id=instance_id,
        name=row["name"],
        resource_group=row["resource_group"],
        vault=row["vault"],
        tags=row["tags"] or {},
        redundancy=redundancy_of(row["properties"]),
        began=row["created_at"].to_tz("UTC").date(),
    )


def note(connection: sa.Connection, found: Sequence[Bill]) -> None:
    """In place of those that are open; one that is closed stays as it is. Of one instance."""
    if not found:
        return
    mine = bills.c.instance_id == found[0].instance_id
    connection.execute(bills.delete().where(mine, ~bills.c.closed))
    closed = set(connection.execute(sa.select(bills.c.month).where(mine)).scalars())
    new = [msgspec.structs.asdict(bill) for bill in found if bill.month not in closed]
    if new:
        connection.execute(bills.insert(), new)


def since(connection: sa.Connection, month: str) -> list[Bill]:
    """From this month on, the newest month first, by name."""
    query = sa.select(bills).where(bills.c.month >= month)
    query = query.order_by(bills.c.month.desc(), bills.c.name, bills.c.instance_id)
    return [Bill(**row) for row in connection.execute(query).mappings()]


def forget(connection: sa.Connection, before: str) -> None:
    """Months before this one."""
    connection.execute(bills.delete().where(bills.c.month < before))
