"""Take the backup that an order asks for: where it is Full, the best that the server allows."""

from collections.abc import Callable

import structlog

from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import Invalid, SourceError
from strongroom.model.protection.backup_type import FULL, why_logical
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.operation import BackupOrder, Completion, TableSize


def back_up(
    held: HeldLease,
    physical: Callable[[], Completion],
    logical: Callable[[], Completion],
    largest: Callable[[dict[str, int]], list[TableSize]] = lambda _: [],
) -> Completion:
    """As `_best`, and of the databases that it holds the `largest` tables."""
    done = _best(held, physical, logical)
    if done.backup is not None:
        done.backup.tables = largest(done.backup.databases)
    return done


def _best(
    held: HeldLease, physical: Callable[[], Completion], logical: Callable[[], Completion]
) -> Completion:
    """What the server does not allow is found out by asking it, before anything has been read.

    Raises what the two raise.
    """
    order = order_of(held)
    if order.backup_type == LOGICAL:
        return logical()
    try:
        return physical()
    except SourceError as error:
        why = why_logical([error.to_dict()]) if order.backup_type == FULL and order.dump else ""
        if not why:
            raise
    log = structlog.get_logger("strongroom.agent")
    log.info("dumping instead of copying", server=order.server, why=why)
    done = logical()
    if done.backup is not None:
        done.backup.why_logical = why
    return done


def order_of(held: HeldLease) -> BackupOrder:
    """The lease's order; Invalid when it is for something else."""
    if held.lease.backup is None:
        raise Invalid("not an order to take a backup")
    return held.lease.backup
