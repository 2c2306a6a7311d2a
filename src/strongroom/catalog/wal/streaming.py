"""Whose log is wanted, and whose is asked for: of all instances in one look.

A round over a thousand instances, of which few are streamed, opens no thousand transactions.
"""

import msgspec
import sqlalchemy as sa

from strongroom.catalog.tables.tables import agent_operations, instances, policies, servers
from strongroom.catalog.tables.wal_tables import wal_packs, wal_streams
from strongroom.catalog.work.agent_operations import OPEN
from strongroom.model.ids import InstanceId
from strongroom.model.protection.operational_tier import operational_days
from strongroom.model.protection.protection_state import ABLE, SUSPENDED

PREFIX = "wal-"  # of the operation that is an instance's stream


def operation_of(instance_id: str) -> str:
    """The id of the operation that is an instance's stream."""
    return f"{PREFIX}{instance_id}"


class Stand(msgspec.Struct, frozen=True):
    """Of one instance: whether its stream is wanted, is asked for, and of the right agent."""

    instance_id: InstanceId
    is_wanted: bool
    is_open: bool
    is_of_its_agent: bool


def stands(connection: sa.Connection) -> list[Stand]:
    """Of every instance."""
    asked = agent_operations
    query = (
        sa.select(
            instances.c.id,
            instances.c.state,
            instances.c.properties,
            policies.c.properties.label("policy"),
            servers.c.agent_id,
            asked.c.status,
            asked.c.agent_id.label("asked_agent"),
        )
        .join(policies, instances.c.policy_id == policies.c.id)
        .join(servers, instances.c.server_id == servers.c.id)
        .outerjoin(asked, asked.c.id == sa.literal(PREFIX) + instances.c.id)
    )
    return [
        Stand(
            InstanceId(row.id),
            row.state in {*ABLE, SUSPENDED} and bool(operational_days(row.properties, row.policy)),
            row.status in OPEN,
            row.asked_agent == row.agent_id,
        )
        for row in connection.execute(query)
    ]


def unsettled(connection: sa.Connection) -> list[InstanceId]:
    """Those whose stream is to be begun, left or ended."""
    return [
        stand.instance_id
        for stand in stands(connection)
        if stand.is_open != stand.is_wanted or (stand.is_open and not stand.is_of_its_agent)
    ]


def streamed(connection: sa.Connection) -> list[InstanceId]:
    """Those whose log has ever begun to come."""
    query = sa.select(wal_streams.c.instance_id)
    return [InstanceId(found) for found in connection.execute(query).scalars()]


def kept(connection: sa.Connection) -> list[InstanceId]:
    """Those of whose log there is anything."""
    some = sa.select(wal_packs.c.name).where(wal_packs.c.instance_id == instances.c.id)
    query = sa.select(instances.c.id).where(some.exists())
    return [InstanceId(found) for found in connection.execute(query).scalars()]
