"""Which `serve` processes are alive: whoever falls silent is taken over."""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.tables.tables import executors
from strongroom.model.errors import Conflict

_LAST_SECONDS = 3
_LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def alone(database: Database, executor_id: str) -> Iterator[None]:
    """Within: no other process runs under this id. Raises Conflict while one does.

    Two of one id would take each other's stories. The lock goes with the process, however it ends.
    """
    with (_lock_beside if database.is_sqlite else _lock_within)(database, executor_id) as ours:
        if not ours:
            raise Conflict(
                f"another control plane runs as {executor_id} on this catalogue",
                hint="stop it, or give each one an --executor of its own",
            )
        yield


@contextmanager
def _lock_beside(database: Database, executor_id: str) -> Iterator[bool]:
    name = hashlib.sha256(executor_id.encode()).hexdigest()[:16]
    with Path(f"{database.engine.url.database}.{name}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def _lock_within(database: Database, executor_id: str) -> Iterator[bool]:
    number = int.from_bytes(hashlib.sha256(executor_id.encode()).digest()[:8], signed=True)
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        try:
            # The session of a process that was killed a moment ago may still be on its way out.
            connection.execute(sa.text(f"set lock_timeout = '{_LAST_SECONDS}s'"))
            connection.execute(sa.select(sa.func.pg_advisory_lock(number)))
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
            yield False
        else:
            yield True
        finally:
            connection.invalidate()  # the session ends, and its lock with it


def beat(connection: sa.Connection, executor_id: str, at: Instant) -> None:
    """This process is alive."""
    updated = connection.execute(
        executors.update().where(executors.c.id == executor_id).values(seen_at=at)
    )
    if updated.rowcount == 0:
        connection.execute(executors.insert().values(id=executor_id, seen_at=at))


def silent_since(connection: sa.Connection, before: Instant) -> list[str]:
    """Processes not heard of since then."""
    query = sa.select(executors.c.id).where(executors.c.seen_at < before)
    return list(connection.execute(query).scalars())


def forget(connection: sa.Connection, executor_ids: Sequence[str], before: Instant) -> None:
    """They have been taken over; one that has come back since then stays."""
    gone = sa.and_(executors.c.id.in_(executor_ids), executors.c.seen_at < before)
    connection.execute(executors.delete().where(gone))


def seen_since(connection: sa.Connection, after: Instant) -> list[str]:
    """Processes heard of since then."""
    query = sa.select(executors.c.id).where(executors.c.seen_at >= after)
    return sorted(connection.execute(query).scalars())
