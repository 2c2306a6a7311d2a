"""Connections to PostgreSQL, and every way in which they are refused, with the remedy.

The only file that names libpq's failures. Source: PostgreSQL manual, "Connection Strings",
"The pg_hba.conf File", appendix A "Error Codes".
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from strongroom.model.errors import (
    Invalid,
    SourceError,
    SourceRefused,
    SourceStopped,
    SourceUnreachable,
    SourceUnsupported,
    WalGap,
)
from strongroom.model.postgres import NEWEST_MAJOR, OLDEST_MAJOR, major_of

_DEADLINES = {
    "connect_timeout": "15",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "4",
    "tcp_user_timeout": "60000",
    "application_name": "strongroom",
    "client_encoding": "UTF8",
}


@dataclass(frozen=True, slots=True, repr=False)
class Conninfo:
    """A connection string, read at the door. Printing it hides the password."""

    _parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Conninfo":
        """A URI or keyword/value string; service and passfiles stay libpq's business."""
        try:
            found = conninfo_to_dict(text.strip())
        except psycopg.Error as error:
            raise Invalid(
                "the connection string cannot be read",
                hint='write it as postgresql://user@host:5432/dbname or "host=... user=..."',
            ) from error
        if not text.strip():
            raise Invalid(
                "the connection string is empty",
                hint="write it as postgresql://user@host:5432/dbname",
            )
        if "replication" in found:
            raise Invalid("the connection string must not set replication", hint="leave it out")
        return cls(tuple((name, str(value)) for name, value in sorted(found.items())))

    def get(self, name: str, default: str = "") -> str:
        """One parameter as given."""
        return dict(self._parameters).get(name, default)

    def with_(self, **more: str) -> str:
        """The whole string for libpq, deadlines included. Holds the password: never print it."""
        return make_conninfo("", **{**_DEADLINES, **dict(self._parameters), **more})

    def text(self) -> str:
        """The string as it is kept in the agent's own file. Holds the password."""
        return make_conninfo("", **dict(self._parameters))

    @property
    def endpoint(self) -> str:
        """host:port for people."""
        return f"{self.get('host', 'local socket')}:{self.get('port', '5432')}"

    def __repr__(self) -> str:
        shown = {k: "***" if k == "password" else v for k, v in self._parameters}
        return f"Conninfo({shown})"


@contextmanager
def connect(conninfo: Conninfo) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """An ordinary connection in autocommit mode; failures come out typed."""
    database = conninfo.get("dbname") or "postgres"
    try:
        with psycopg.connect(conninfo.with_(dbname=database), autocommit=True) as connection:
            check_version(connection.info.server_version)
            yield connection
    except psycopg.Error as error:
        raise _translate(str(error), conninfo, sqlstate=error.sqlstate) from error


@contextmanager
def replication(conninfo: Conninfo) -> Iterator[pq.abc.PGconn]:
    """A physical replication connection, raw."""
    pgconn = pq.PGconn.connect(conninfo.with_(replication="true").encode())
    try:
        if pgconn.status != pq.ConnStatus.OK:
            raise _translate(_words(pgconn), conninfo, replicating=True)
        check_version(pgconn.server_version)
        yield pgconn
    finally:
        pgconn.finish()


def check_version(number: int) -> None:
    """Refuse by name what cannot be backed up. `number` is server_version_num."""
    if not OLDEST_MAJOR <= major_of(number) <= NEWEST_MAJOR:
        raise SourceUnsupported(
            f"PostgreSQL {major_of(number)} is not supported",
            hint=f"{OLDEST_MAJOR} to {NEWEST_MAJOR} are: upgrade the server, or strongroom",
        )


def copy_data(pgconn: pq.abc.PGconn, asynchronous: int, what: str) -> tuple[int, memoryview]:
    """One message of a COPY: its size, 0 when none is there yet, -1 at the end."""
    try:
        return pgconn.get_copy_data(asynchronous)
    except psycopg.Error as error:
        raise failure(pgconn, what) from error


def failure(pgconn: pq.abc.PGconn, what: str) -> SourceError:
    """The typed error for a connection that has failed in the middle of `what`."""
    words = _words(pgconn)
    if "requested WAL segment" in words:
        return WalGap(f"while {what}: {words}", hint="the next attempt takes a new slot")
    if pgconn.status != pq.ConnStatus.OK or "server closed" in words or "terminat" in words:
        return SourceStopped(
            f"the server went away while {what}: {words}",
            hint="the backup is tried again; see the server's log for why it stopped",
        )
    return _translate(words, None, replicating=True)


def _words(pgconn: pq.abc.PGconn) -> str:
    return " ".join(pgconn.get_error_message().split())


_NO_HBA = re.compile(r'no pg_hba.conf entry for (replication connection from )?host "([^"]+)"')
_USER = re.compile(r'user "([^"]+)"')


def _translate(
    words: str,
    conninfo: Conninfo | None,
    *,
    replicating: bool = False,
    sqlstate: str | None = None,
) -> SourceError:
    words = " ".join(words.split())
    user = _USER.search(words)
    who = user[1] if user else (conninfo.get("user") if conninfo else "") or "backup"
    found = _NO_HBA.search(words)
    if found:
        database = "replication" if replicating or found[1] else "all"
        return SourceRefused(
            f"pg_hba.conf has no entry that lets {who} in ({database}) from {found[2]}",
            hint=(
                f"add this line to pg_hba.conf and reload: "
                f"host {database} {who} {found[2]}/32 scram-sha-256"
            ),
        )
    if "password authentication failed" in words or sqlstate in {"28P01", "28000"}:
        return SourceRefused(
            f"the server refuses the password of {who}",
            hint="correct it in the connection string or the passfile",
        )
    if "no password supplied" in words:
        return SourceRefused(
            f"the server asks for a password of {who} and none was given",
            hint="put it into ~/.pgpass of the agent's user, or into the connection string",
        )
    for rule in _RULES:
        if rule[0] in words:
            return rule[1](rule[2], hint=rule[3].format(user=who))
    if sqlstate in {"57P01", "57P02", "57P03", "08006"}:
        return SourceStopped(f"the server went away: {words}", hint="it is tried again")
    kind = SourceUnreachable if "onnect" in words or "timeout" in words else SourceRefused
    return kind(words or "the connection failed", hint="see the server's log")


_RULES: tuple[tuple[str, type[SourceError], str, str], ...] = (
    (
        "must be superuser or replication role",
        SourceRefused,
        "the role may not replicate",
        "run as a superuser: ALTER ROLE {user} REPLICATION;",
    ),
    (
        "permission denied to start WAL sender",
        SourceRefused,
        "the role may not replicate",
        "run as a superuser: ALTER ROLE {user} REPLICATION;",
    ),
    (
        "exceeds max_wal_senders",
        SourceRefused,
        "no WAL sender is free (max_wal_senders)",
        "a backup needs two: raise max_wal_senders in postgresql.conf and restart the server",
    ),
    (
        "standby connections because max_wal_senders",
        SourceRefused,
        "no WAL sender is free (max_wal_senders)",
        "a backup needs two: raise max_wal_senders in postgresql.conf and restart the server",
    ),
    (
        "all replication slots are in use",
        SourceRefused,
        "no replication slot is free (max_replication_slots)",
        "a backup needs one: raise max_replication_slots and restart the server",
    ),
    (
        "WAL level not sufficient",
        SourceRefused,
        "wal_level is minimal",
        "set wal_level = replica in postgresql.conf and restart the server",
    ),
    (
        "replication slots can only be used if",
        SourceRefused,
        "wal_level or max_replication_slots forbids replication slots",
        "set wal_level = replica and max_replication_slots >= 1, then restart the server",
    ),
)
