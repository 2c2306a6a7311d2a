"""One engine, two databases: SQLite (the embedded default) or PostgreSQL.

Both keep the same promise: whoever writes is alone until the end of the transaction, so that what
was looked up before a write still holds when it is written. What a database says is translated
here, and nowhere else, into the words of model/errors.py.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry
from whenever import Instant

from strongroom.model.errors import Conflict, ControlUnavailable

_WAIT_SECONDS = 30  # for another writer, and for a process that has frozen in mid-transaction
_MOST_TURNS = 20
# What answers at once shares them: a connection beyond these is opened anew each time, and more
# threads than this only take the interpreter from one another.
CONNECTIONS_KEPT = 16
_COMMON = {"pool_size": CONNECTIONS_KEPT, "json_deserializer": msgspec.json.decode}
_SIGN = "strongroom_sign"
_WRITER = 0x5352_5752_4954  # on PostgreSQL: the lock of whoever writes
_TWICE = {"23505", "23503", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_TWICE |= {"SQLITE_CONSTRAINT_FOREIGNKEY"}
# SQLite calls a missing table an operational error too: that one is a bug and stays one.
_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}


class Utc(sa.types.TypeDecorator[Instant]):
    """An Instant, stored as microseconds since 1970 UTC: neither database can bend it."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Instant | None, dialect: sa.Dialect) -> int | None:
        """Instant -> microseconds."""
        del dialect
        return None if value is None else value.timestamp(unit="microsecond")

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> Instant | None:
        """Microseconds -> Instant."""
        del dialect
        return None if value is None else Instant.from_timestamp(value, unit="microsecond")


class JsonText(sa.types.TypeDecorator[dict[str, Any]]):
    """An object as JSON text: what is read is what was written, to the last digit of a number.

    PostgreSQL's own JSON writes numbers anew, and a digest over them would not hold.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: sa.Dialect) -> str | None:
        """Object -> text."""
        del dialect
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))

    def process_result_value(
        self, value: str | None, dialect: sa.Dialect
    ) -> dict[str, Any] | None:
        """Text -> object."""
        del dialect
        found: dict[str, Any] | None = None if value is None else json.loads(value)
        return found


def unsigned(digest: bytes) -> bytes:
    """For a process that has no key of the installation's."""
    del digest
    return b""


def signing_of(connection: sa.Connection) -> Callable[[bytes], bytes]:
    """What signs the audit records of this transaction."""
    found: Callable[[bytes], bytes] = connection.get_execution_options().get(_SIGN, unsigned)
    return found


class Database:
    """Transactions over the catalogue.

    `url` is `sqlite:///FILE` or `postgresql+psycopg://...`. SQLite runs in WAL mode with
    synchronous=FULL: an acknowledged hold or approval must survive a power loss.

    Each transaction raises Conflict for a row that is there already or is still in use, and
    ControlUnavailable while the database is down, full, or busy for half a minute.

    `sign` signs the digests of audit records (catalog/audit.py). `side_by_side`: how many may ask
    at once without waiting for a connection.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.sign: Callable[[bytes], bytes] = unsigned
        self.is_sqlite = url.startswith("sqlite")
        self.side_by_side = CONNECTIONS_KEPT
        options: dict[str, Any] = {"pool_pre_ping": True, **_COMMON}
        if self.is_sqlite:
            options = {
                "connect_args": {"timeout": _WAIT_SECONDS, "check_same_thread": False},
                **_COMMON,
            }
        self.engine = sa.create_engine(url, **options)
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            sa.event.listen(self.engine, "connect", _prepare_postgresql)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction: all of it or nothing. It waits its turn at the start."""
        with _told(), self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER)))
            yield connection.execution_options(**{_SIGN: self.sign})

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent look."""
        with _told(), self.engine.connect() as connection:
            yield connection.execution_options(strongroom_reading=True)

    def close(self) -> None:
        """Return every connection."""
        self.engine.dispose()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sa.exc.IntegrityError as error:
        if _code_of(error) not in _TWICE:
            raise
        raise Conflict(
            "it is there already, or something else still needs it",
            hint="look at what is there now, then ask again",
        ) from error
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        if not _is_away(error):
            raise
        raise ControlUnavailable(
            "the catalogue cannot be read or written for now",
            hint="its database is down, full or too busy: see the log of `serve`",
            code="CatalogueUnavailable",
        ) from error


def _code_of(error: sa.exc.IntegrityError) -> str:
    return str(
        getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", "")
    )


def _is_away(error: sa.exc.DBAPIError | sa.exc.TimeoutError) -> bool:
    """Another try may go through: no connection, a broken one, no room, no turn in time."""
    if isinstance(error, sa.exc.TimeoutError) or error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _AWAY
    return isinstance(error, sa.exc.OperationalError)


def _prepare_postgresql(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401
    """Nobody waits for ever for a writer that has frozen, or whose host has vanished."""
    del record
    connection.autocommit = True
    for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(f"set {name} = '{_WAIT_SECONDS}s'")
    connection.autocommit = False


def _prepare_sqlite(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401
    del record
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_WAIT_SECONDS * 1000}")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # a key that is destroyed leaves no bytes behind


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Go over to WAL: the file remembers it, so that there is nothing to do from then on.

    Whoever goes over must be alone, and SQLite says "busy" at once instead of waiting when two
    do it together. A turn as a writer is waited for: after it the other is through.
    """
    for _ in range(_MOST_TURNS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("strongroom_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
