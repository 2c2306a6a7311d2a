"""What the vault's identity must be allowed where a restore goes: asked again as it begins.

    a server, or a directory there         Long Term Retention Backup Role, Reader of its group
    a container of our own without a SAS   Storage Blob Data Contributor (own_storage.py)
    any other container, a bucket          its SAS, or the agent's own credentials, open it

Source: Microsoft, "Back up and restore Azure Database for PostgreSQL": roles on source and target.
"""

import sqlalchemy as sa

from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.resources import servers
from strongroom.control.basis.access import check_vault_identity
from strongroom.control.basis.control import Control
from strongroom.control.work.own_storage import check_target
from strongroom.model.work.extract import ExtractRequest
from strongroom.model.work.logical import LoadRequest


def check_identity(
    control: Control,
    connection: sa.Connection,
    found: Protection,
    what: tuple[LoadRequest | None, ExtractRequest | None],
    *,
    signed: bool,
) -> None:
    """`what` = (the load, the part), neither: all of a server. `signed`: a SAS came with it.

    Raises Precondition that names role, scope, identity and the command that gives the role.
    """
    load, part = what
    if part is not None and part.target_url:
        check_target(control, connection, found, part.target_url, signed=signed)
        return
    agent, local = found.agent_id, found.agent_server
    if load is not None:
        agent, local = load.agent_id, load.agent_server
    elif part is not None and part.target_server:
        local = part.target_server
    row = servers.of_agent(connection, agent, local)
    target = found.server_id if row is None else str(row["id"])
    check_vault_identity(control, connection, target, found.vault_principal_id)
