"""An epoch's access to storage: given before its lease, withdrawn when it has ended.

Every SAS of an epoch names the epoch's identifier, and the storage endpoint refuses the SAS once
the identifier is withdrawn (docs/decisions/0012). The catalogue remembers what is still to be
withdrawn: a storage endpoint that is away is asked again by the next sweep.
"""

from contextlib import suppress

import sqlalchemy as sa
import structlog

from strongroom.catalog.resources import servers
from strongroom.catalog.work import agent_operations, epochs
from strongroom.control.basis.control import Control
from strongroom.control.work.own_storage import filled_by
from strongroom.model.errors import ObjectMissing, StoreError, StoreUnavailable
from strongroom.model.ids import AgentId

QUOTA_TIMES = 3  # of the server's size, as the agent last saw it
STREAM_QUOTA = 1 << 44  # of a stream, which puts as much as the server writes; and of files
QUOTA_BYTES = 10 << 30  # and this: write-ahead log, growth, uploads that broke off

log = structlog.get_logger()


def identifier_of(operation_id: str, epoch: int) -> str:
    """What the SAS of one epoch hang on."""
    return f"{operation_id}.{epoch}"


def give_access(control: Control, agent: AgentId, operation: sa.RowMapping, epoch: int) -> None:
    """Before the lease: SAS of this epoch will be good, for a bounded number of bytes.

    Raises StoreError: then there is no lease to give.
    """
    if operation["kind"] in agent_operations.ELSEWHERE:
        return
    identifier = identifier_of(operation["id"], epoch)
    if not is_second(operation):
        quota = _quota(control, agent, operation)
        control.give_identifier(operation["order"]["instanceId"], identifier, quota)
    container = filled_by(control, operation["order"])
    if container:
        with suppress(ObjectMissing):  # not there: the agent is told when it leaves its files
            control.give_identifier(container, identifier, STREAM_QUOTA)


def is_second(operation: sa.RowMapping) -> bool:
    """Whether it reads the second copy, where there are no identifiers to give or withdraw."""
    return bool(operation["order"].get("second"))


def _quota(control: Control, agent: AgentId, operation: sa.RowMapping) -> int:
    if operation["kind"] == "stream":
        return STREAM_QUOTA
    if operation["kind"] != "backup":
        return 0
    with control.database.reading() as connection:
        server = servers.of_agent(connection, agent, operation["order"]["server"])
    facts = server["facts"] if server is not None else None
    return QUOTA_TIMES * int((facts or {}).get("sizeBytes", 0)) + QUOTA_BYTES


def _withdraw(control: Control, operation: sa.RowMapping, identifier: str) -> None:
    order = operation["order"]
    if not is_second(operation):
        control.withdraw_identifier(order["instanceId"], identifier)
    container = filled_by(control, order)
    if container:
        control.withdraw_identifier(container, identifier)


def withdraw_ended(control: Control, operation_id: str | None = None) -> None:
    """Every epoch that has ended (of this operation) loses its access. Safe twice.

    What fails is told in the log and stays to be done.
    """
    with control.database.reading() as connection:
        found = epochs.to_withdraw(connection, operation_id)
    for operation in found:
        try:
            for epoch in range(operation["withdrawn"] + 1, operation["ended"] + 1):
                _withdraw(control, operation, identifier_of(operation["id"], epoch))
        except StoreError as error:
            log.warning("access.not_withdrawn", operation=operation["id"], why=error.message)
            if isinstance(error, StoreUnavailable):
                return
            continue
        with control.database.writing() as connection:
            epochs.note_withdrawn(connection, operation["id"], operation["ended"])
