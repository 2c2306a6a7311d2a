"""Epochs that have ended while their access to storage may still be open.

`agent_operations.withdrawn` says up to which epoch of an operation the access was withdrawn.
"""

import sqlalchemy as sa

from strongroom.catalog.tables.tables import agent_operations as table
from strongroom.catalog.work.agent_operations import ELSEWHERE

# While an operation is leased its epoch goes on; offered again or ended, it is over.
_ENDED = sa.case((table.c.status == "leased", table.c.epoch - 1), else_=table.c.epoch)


def to_withdraw(connection: sa.Connection, operation_id: str | None = None) -> list[sa.RowMapping]:
    """Operations (or this one): `id`, `order`, `withdrawn`, and the last epoch that `ended`."""
    query = sa.select(table.c.id, table.c.order, table.c.withdrawn, _ENDED.label("ended")).where(
        table.c.kind.not_in(ELSEWHERE), table.c.withdrawn < _ENDED
    )
    if operation_id is not None:
        query = query.where(table.c.id == operation_id)
    return list(connection.execute(query).mappings())


def note_withdrawn(connection: sa.Connection, operation_id: str, epoch: int) -> None:
    """Every epoch up to this one has no access any more."""
    connection.execute(
        table.update()
        .where(table.c.id == operation_id, table.c.withdrawn < epoch)
        .values(withdrawn=epoch)
    )
