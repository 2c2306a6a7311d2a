"""ARM's long-running operations: rows that clients poll, whatever restarts in between."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.resources import operations
from strongroom.control.basis import guarded
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model.errors import NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId, uuid4


def find_by_request(connection: sa.Connection, request_key: str) -> OperationId | None:
    """The operation that the same request, sent before, has begun."""
    found = operations.find_by_request(connection, request_key) if request_key else None
    return None if found is None else OperationId(found)


def begin_operation(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[str, str],
    request_key: str = "",
) -> OperationId:
    """A new operation of `what` = (kind, resource id), in progress."""
    operation_id = OperationId(str(uuid4(control.chance)))
    kind, resource_id = what
    operations.add(
        connection,
        {
            "id": operation_id,
            "kind": kind,
            "resource_id": resource_id,
            "status": "Inprogress",
            "started_at": control.clock.now(),
            "principal_id": caller.principal_id,
            "request_key": request_key or None,
        },
    )
    return operation_id


def add_ended(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[str, str],
    result: dict[str, Any],
    request_key: str,
) -> OperationId:
    """An operation that is over as it begins: its job is made, or its answer known."""
    operation_id = begin_operation(control, connection, caller, what, request_key)
    end_operation(connection, operation_id, control.clock.now(), result=result)
    return operation_id


def act_once(
    control: Control,
    caller: Caller,
    action: str,
    scope: str,
    request_key: str,
    act: Callable[[sa.Connection], dict[str, Any]],
) -> OperationId:
    """The first lines of every action: asked twice? may they? then `act`, all in one transaction.

    `act` gives the operation's result, such as {"jobId": ...}. Whatever it raises is the answer,
    and nothing has happened.
    """
    with guarded.writing(control) as connection:
        known = find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, action, scope)
        what = (action.split("/")[-2], scope)
        return add_ended(control, connection, caller, what, act(connection), request_key)


def end_operation(
    connection: sa.Connection,
    operation_id: str,
    at: Instant,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> None:
    """Succeeded with a result, or failed with VaultError.to_dict()."""
    status = "Succeeded" if error is None else "Failed"
    operations.end(
        connection, operation_id, status=status, ended_at=at, result=result, error=error
    )


def is_over(control: Control, operation_id: str) -> bool:
    """Whether it has ended, well or not; for those who have begun it."""
    with control.database.reading() as connection:
        row = operations.get(connection, operation_id)
    return row is None or row["ended_at"] is not None


def get_operation(control: Control, caller: Caller, operation_id: str) -> sa.RowMapping:
    """One operation, to whoever began it; to others there is none."""
    with control.database.reading() as connection:
        row = operations.get(connection, operation_id.lower())
    if row is None or row["principal_id"] != caller.principal_id:
        raise NotFound(
            f"there is no operation {operation_id[:64]}",
            hint="ask with the identity that began it; what it did is among the vault's jobs",
        )
    return row
