"""A server that is protected again where its protection was deleted keeps its points and keys."""

import sqlalchemy as sa

from strongroom.catalog.protection import deletions, instances
from strongroom.control.protection.deletions import have_back
from strongroom.model.errors import Conflict
from strongroom.model.protection.protection_state import SOFT_DELETED


def find_left(
    connection: sa.Connection,
    vault_id: str,
    server_id: str,
    name: str,
    before: sa.RowMapping | None,
) -> sa.RowMapping | None:
    """The soft-deleted instance of the server, where a new one is asked for.

    Raises Conflict when the new one's name is that of a deleted instance of another server.
    """
    if before is not None:
        return None
    named = instances.find_deleted(connection, vault_id, name)
    if named is not None and named["server_id"] != server_id:
        raise Conflict(
            f"{named['name']} is the name of a deleted backup instance, of server "
            f"{named['server_name']}",
            hint="choose another name, or wait until that one is purged",
        )
    found = instances.of_server(connection, server_id)
    return found if found is not None and found["state"] == SOFT_DELETED else None


def bring_back(connection: sa.Connection, left: sa.RowMapping, name: str) -> None:
    """Under its new name. Raises Conflict when its purge has begun."""
    deletion = deletions.find(connection, left["id"])
    assert deletion is not None  # noqa: S101 - written with the state
    have_back(connection, deletion, left["name"])
    instances.change(connection, left["id"], name=name, name_key=name.lower())
