"""Connections to PostgreSQL: the string is read at the door, failures come out typed.

The only file that names psycopg's errors. Service files, passfiles and the PG* environment stay
libpq's business and are honoured. Source: PostgreSQL manual, "Connection Strings".
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from strongroom.model.errors import Invalid, SourceError
from strongroom.postgres.server.refusals import (
    Attempt,
    check_version,
    failed_command,
    refused_connection,
)
from strongroom.postgres.server.replication import Replication

# A host that is gone is noticed: connecting within 15 s, an idle connection within 70 s, data that
# nobody acknowledges within 60 s. A server that is there and silent is the stall limit's business.
_DEADLINES = {
    "connect_timeout": "15",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "4",
    "tcp_user_timeout": "60000",
    "application_name": "strongroom",
}
# The server must not take a writer that waits for storage for a dead one. Any role may set these.
_PATIENT = "-c wal_sender_timeout=0 -c idle_session_timeout=0"
# Whoever owns a database says by ALTER DATABASE ... SET where names are looked for in it, and how
# long a statement may take. What we ask must find nothing of theirs: we may be a superuser. A
# standby answers nothing at all where transactions are serializable, so that goes first.
_OURS_ALONE = (
    "set default_transaction_isolation to 'read committed'; "
    "set default_transaction_read_only to off; set search_path to ''; "
    "set statement_timeout to 0; set lock_timeout to 0; "
    "set idle_session_timeout to 0; set idle_in_transaction_session_timeout to 0"
)
_NO_LIMIT = "set transaction_timeout to 0"
_LIMIT_SINCE = 170000
_FORM = "Write it as postgresql://user@host:5432/database or as host=... user=... dbname=..."
_UNREADABLE = "\ufffd"  # in a name that is no UTF-8
_SECRETS = ("password", "sslpassword", "oauth_client_secret")
_OURS = {"replication", "options", "fallback_application_name", "client_encoding"}


@dataclass(frozen=True, slots=True, repr=False)
class Conninfo:
    """A connection string, read at the door. Printing it hides the secrets."""

    _parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Conninfo":
        """A URI or keyword/value string. Raises Invalid, never repeating what may be a secret."""
        if not text.strip() or "\0" in text:
            raise Invalid("the connection string is empty or no text", hint=_FORM)
        try:
            found = conninfo_to_dict(text.strip())
        except (psycopg.Error, UnicodeError):
            # Not chained: libpq's words quote the part that it could not read.
            raise Invalid("the connection string cannot be read", hint=_FORM) from None
        ours = sorted(_OURS.intersection(found))
        if ours:
            raise Invalid(f"the connection string must not set {ours[0]}", hint="Leave it out.")
        if not found:
            raise Invalid("the connection string names nothing", hint=_FORM)
        return cls(tuple((name, str(value)) for name, value in sorted(found.items())))

    def get(self, name: str, default: str = "") -> str:
        """One parameter as given; empty when libpq is to find it itself."""
        return dict(self._parameters).get(name, default)

    def changed(self, **parameters: str) -> "Conninfo":
        """The same with some parameters replaced; an empty value leaves one out."""
        merged = {**dict(self._parameters), **parameters}
        return Conninfo(tuple((k, v) for k, v in sorted(merged.items()) if v != ""))

    def text(self) -> str:
        """The string as it is kept in the agent's own file. Holds the password: never print it."""
        return make_conninfo("", **dict(self._parameters))

    def secrets(self) -> list[str]:
        """What must be in no log."""
        return [found for name in _SECRETS if (found := self.get(name))]

    @property
    def endpoint(self) -> str:
        """host:port for people."""
        place = self.get("host") or self.get("hostaddr")
        if not place and self.get("service"):
            return f"service {self.get('service')}"
        return f"{place or 'the local socket'}:{self.get('port', '5432')}"

    def __repr__(self) -> str:
        hidden = {*_SECRETS, "passfile"}
        shown = {k: "***" if k in hidden else v for k, v in self._parameters}
        return f"Conninfo({shown})"


@contextmanager
def connect(conninfo: Conninfo) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """An ordinary connection in autocommit mode, UTF-8.

    Raises SourceUnreachable, SourceRefused, SourceUnsupported; SourceStopped when it breaks later.
    """
    with _opened(conninfo, client_encoding="UTF8") as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise failed_command(error.sqlstate or "", str(error), "looking at it") from error


@contextmanager
def connect_to_read(conninfo: Conninfo) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """The same, for who asks for names that others have given: they come whatever they are.

    Statements must be ASCII; parameters need not.
    """
    with connect(conninfo) as connection, any_names(connection):
        yield connection


@contextmanager
def any_names(connection: psycopg.Connection[tuple[Any, ...]]) -> Iterator[None]:
    """Within: a server of SQL_ASCII hands on names that are no UTF-8, instead of failing.

    Statements must be ASCII, or bytes. Source: PostgreSQL manual, "Automatic Character Set
    Conversion Between Server and Client".
    """
    told = map(connection.info.parameter_status, ("server_encoding", "client_encoding"))
    if tuple(told) != ("SQL_ASCII", "UTF8"):
        yield
        return
    connection.execute("set client_encoding to 'SQL_ASCII'")
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("set client_encoding to 'UTF8'")


def can_be_asked_for(
    connection: psycopg.Connection[tuple[Any, ...]], databases: Iterable[str]
) -> list[str]:
    """Those of the names that a connection may be made by: libpq sends what we say as UTF-8, and
    the server compares the bytes with those that it keeps, which are in anybody's encoding.
    """
    as_kept = connection.info.parameter_status("server_encoding") in {"UTF8", "SQL_ASCII"}
    return [name for name in databases if name.isascii() or (as_kept and _UNREADABLE not in name)]


@contextmanager
def replication(
    conninfo: Conninfo, watch: Callable[[], None] = lambda: None
) -> Iterator[Replication]:
    """A physical replication connection.

    `watch` is called about once a second while it waits; what it raises ends the waiting. Raises
    as `connect` does.
    """
    with (
        _opened(conninfo, replication="true", options=_PATIENT) as connection,
        closing(Replication(connection.pgconn, watch)) as server,
    ):
        yield server


@contextmanager
def session(conninfo: Conninfo, watch: Callable[[], None] = lambda: None) -> Iterator[Replication]:
    """An ordinary session that may wait for long: commands of SQL, watched as `replication` is."""
    with (
        _opened(conninfo, options=_PATIENT) as connection,
        closing(Replication(connection.pgconn, watch)) as server,
    ):
        yield server


def same_server(conninfo: Conninfo, reached: Replication) -> Conninfo:
    """The string, tied to the very server that `reached` stands to.

    A name with several hosts or addresses could lead the second connection to another server.
    """
    if conninfo.get("service"):
        return conninfo  # what a service file says, libpq alone knows
    return conninfo.changed(host=reached.host, hostaddr=reached.host_address, port=reached.port)


@contextmanager
def _opened(conninfo: Conninfo, **more: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    replicating = "replication" in more
    given = {**_DEADLINES, **more}
    if not conninfo.get("dbname") and not conninfo.get("service"):
        given["dbname"] = "postgres"
    given = {name: value for name, value in given.items() if not conninfo.get(name)}
    try:
        text = make_conninfo(conninfo.text(), **given)
        connection = psycopg.connect(text, autocommit=True)
    except psycopg.Error as error:
        raise _refused(error, conninfo, replicating=replicating) from error
    with closing(connection):
        check_version(connection.info.server_version)
        if not replicating:
            _settle(connection)
        yield connection


class _AnyText(Loader):
    """Names that are no UTF-8: of other encodings, in the shared catalogues, or of SQL_ASCII."""

    def load(self, data: Buffer) -> str:
        """What cannot be read as U+FFFD."""
        return bytes(data).decode("utf-8", "replace")


def read_any_names(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """What comes and is no UTF-8 is read with U+FFFD in its place, and nothing fails for it."""
    for kind in ("name", "text"):
        connection.adapters.register_loader(kind, _AnyText)


def _settle(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Nothing that a database or a role was given by others holds for us, and any name is read."""
    read_any_names(connection)
    try:
        connection.execute(_OURS_ALONE)
        if connection.info.server_version >= _LIMIT_SINCE:
            connection.execute(_NO_LIMIT)
    except psycopg.Error as error:
        raise failed_command(error.sqlstate or "", str(error), "looking at it") from error


def _refused(error: psycopg.Error, conninfo: Conninfo, *, replicating: bool) -> SourceError:
    tried = error.pgconn
    attempt = Attempt(
        user=(tried.user.decode() if tried and tried.user else conninfo.get("user")) or "?",
        database=conninfo.get("dbname") or "postgres",
        endpoint=conninfo.endpoint,
        replicating=replicating,
        certificate=bool(conninfo.get("sslcert")),
        has_password=bool(conninfo.get("password") or conninfo.get("passfile")),
        needs_password=bool(tried and tried.needs_password),
    )
    return refused_connection(str(error), attempt)
