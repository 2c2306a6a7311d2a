"""One engine, two databases: SQLite (the embedded default) or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry
from whenever import Instant


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


class Database:
    """Transactions over the catalogue.

    `url` is `sqlite:///FILE` or `postgresql+psycopg://...`. SQLite runs in WAL mode with
    synchronous=FULL: an acknowledged hold or approval must survive a power loss.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {"pool_pre_ping": True}
        if self.is_sqlite:
            options = {"connect_args": {"timeout": 30, "check_same_thread": False}}
        self.engine = sa.create_engine(url, **options)
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction: all of it or nothing. SQLite takes its write lock at the start."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent look."""
        with self.engine.connect().execution_options(strongroom_reading=True) as connection:
            yield connection

    def close(self) -> None:
        """Return every connection."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401
    del record
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("strongroom_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
