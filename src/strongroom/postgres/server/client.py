"""PostgreSQL's client programs: run with the least that they need, read as they write.

A password goes into a file that lies in memory under no name, which the programs inherit: never
into an argument or the environment, which others may read, nor onto a disk, where it would stay
when this process is killed. A connection string without one is an argument.
Source: memfd_create(2); libpq reads a passfile that is plain and nobody else's (fe-connect.c).
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from strongroom.model.errors import SourceError, SourceRefused, SourceStopped, ToolsMissing
from strongroom.postgres.server.connect import Conninfo, connect
from strongroom.postgres.server.refusals import Attempt, refused_connection

_SECRETS = ("sslpassword", "oauth_client_secret")
_KEPT = re.compile(r"PATH|HOME|USER|LOGNAME|TZ|SSL_CERT_\w+|KRB5\w+|PG\w+")
_WORDS, _SHOWN = 4096, 600
_RIGHTS = ("permission denied", "must be superuser", "row-level security")
_LACKING = (
    "Grant the role of the agent what it lacks: GRANT pg_read_all_data TO ...; (a large object: "
    "GRANT SELECT ON LARGE OBJECT), or make it the owner."
)
_MAY_NOT_LOAD = (
    "What is loaded holds something that the role may not make (an extension, an event trigger, a "
    "foreign-data wrapper): load it as a superuser."
)
_HIDDEN = (
    "Rows of this table are hidden from the role of the agent, and half a table is none. Run as a "
    "superuser: ALTER ROLE ... BYPASSRLS;"
)
# What a server, a database or a role may be given that these programs do not undo by themselves.
_FIT = {
    "array_nulls": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "idle_session_timeout": "0",
}
_AS_GIVEN = "; ".join(f"reset {name}" for name in _FIT)
_UNFIT = """
select name from pg_catalog.pg_settings where name = any(%(names)s) and setting <> boot_val
union select pg_catalog.split_part(each, '=', 1)
from pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) each
where pg_catalog.split_part(each, '=', 1) = any(%(names)s) order by 1
"""
_ALIVE = {
    "connect_timeout": "15",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "4",
    "tcp_user_timeout": "60000",
}


@dataclass(frozen=True, slots=True)
class Client:
    """How a program reaches the server. Printing it shows no secret, for it holds none."""

    conninfo: Conninfo  # without a password; names the file that holds it
    environment: dict[str, str]
    inherited: tuple[int, ...] = ()  # descriptors

    def told(self, name: str, value: str) -> "Client":
        """The same, that sets something for each of its sessions. No pooler passes that on."""
        escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
        options = f"{self.environment.get('PGOPTIONS', '')} -c {name}={escaped}".strip()
        return replace(self, environment={**self.environment, "PGOPTIONS": options})

    def target(self, database: str) -> str:
        """The connection string to one database, fit to be an argument."""
        return self.conninfo.changed(dbname=database).text()


@contextmanager
def client_of(conninfo: Conninfo) -> Iterator[Client]:
    """What programs need while the context lasts. Raises SourceError."""
    for name in _SECRETS:
        if conninfo.get(name):
            raise SourceRefused(
                f"{name} cannot be handed to PostgreSQL's own programs safely",
                hint="Use a key without a passphrase, readable by the agent's user alone.",
            )
    environment = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    password = conninfo.get("password") or environment.get("PGPASSWORD", "")
    environment = {**environment, "LC_ALL": "C.UTF-8"}
    environment.pop("PGPASSWORD", None)
    missing = {name: value for name, value in _ALIVE.items() if not conninfo.get(name)}
    plain = conninfo.changed(password="", application_name="strongroom", **missing)
    if not password:
        yield _fit(Client(plain, environment), conninfo)
        return
    with os.fdopen(os.memfd_create("passfile"), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        told = plain.changed(passfile=f"/dev/fd/{file.fileno()}")
        yield _fit(Client(told, environment, (file.fileno(),)), conninfo)


def _fit(client: Client, conninfo: Conninfo) -> Client:
    """Told what the programs need to do their work; on most servers that is nothing."""
    with connect(conninfo) as connection, connection.transaction(force_rollback=True):
        connection.execute(_AS_GIVEN.encode())
        rows = connection.execute(_UNFIT, {"names": list(_FIT)}).fetchall()
    for (name,) in rows:
        client = client.told(name, _FIT[name])
    return client


class Program:
    """A program that runs within its context: whatever happens in it, none is left afterwards.

    What it writes is read here, what it says is kept for its end.
    """

    def __init__(self, command: list[str], client: Client, what: str) -> None:
        """`what` is for people: "pg_dump of orders"."""
        self._what = what
        self._client = client
        with contextlib.ExitStack() as stack:
            self._words = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._words,
                env=client.environment,
                cwd="/",
                start_new_session=True,
                pass_fds=client.inherited,
            )
            self._open = stack.pop_all()

    def __enter__(self) -> "Program":
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it if it has not ended, and let go of what it held."""
        self.kill()
        with self._open, self._process:
            pass

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def pieces(self, size: int) -> Iterator[bytes]:
        """What it writes, in pieces of `size` bytes, the last one shorter."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        while data := self._process.stdout.read(size):
            yield data

    def kill(self) -> None:
        """End it at once, and what it has started; from any thread, safe twice."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def run(self, check: Callable[[], None] = lambda: None) -> list[str]:
        """To its end, for what it does and not for what it writes; `check` is asked meanwhile.

        Raises what `check` and `finish` raise.
        """
        for _ in self.pieces(1 << 16):
            check()
        check()
        return self.finish()

    def finish(self) -> list[str]:
        """Wait for its end: the lines it said. Raises SourceError when it did not end well."""
        if self._process.stdout is not None:
            self._process.stdout.close()
        code = self._process.wait()
        self._words.seek(0)
        said = self._words.read(1 << 20).decode(errors="replace")
        if code:
            raise _failed(self._what, code, said, self._client.conninfo)
        return said.splitlines()


def run(command: list[str], client: Client, what: str) -> list[str]:
    """A program that writes nothing of interest, to its end."""
    with Program(command, client, what) as program:
        return program.run()


def reason_in(said: str) -> str:
    """Of what a program has said: its first error, on one line, and what follows.

    A long list of notices may come before it, a long statement after it.
    """
    words = " ".join(said.split())
    return words[max(0, words.find("error: ")) :][:_SHOWN]


def _failed(what: str, code: int, said: str, conninfo: Conninfo) -> SourceError | ToolsMissing:
    words = " ".join(said.split())[-_WORDS:]
    if code < 0:
        return SourceStopped(
            f"{what} was ended by signal {-code}",
            hint="See the system's log: the memory of this host may have run out.",
        )
    shown = reason_in(said) or f"it ended with {code}"
    if "server version mismatch" in words:
        return ToolsMissing(f"{what} failed: {shown}")
    if any(fragment in words for fragment in _RIGHTS):
        lacking = _MAY_NOT_LOAD if what.startswith("pg_restore") else _LACKING
        hidden = "row-level security" in words
        return SourceRefused(f"{what} failed: {shown}", hint=_HIDDEN if hidden else lacking)
    lost = ("server closed the connection", "terminating connection", "could not receive data")
    if any(fragment in words for fragment in lost):
        return SourceStopped(f"{what} lost the server: {shown}")
    if "connection to server" in words and "failed" in words:
        return refused_connection(words, _attempt(conninfo))
    return SourceRefused(f"{what} failed: {shown}", hint="See the server's log for the reason.")


def _attempt(conninfo: Conninfo) -> Attempt:
    return Attempt(
        user=conninfo.get("user") or "?",
        database=conninfo.get("dbname") or "postgres",
        endpoint=conninfo.endpoint,
        replicating=False,
        has_password=bool(conninfo.get("passfile")),
    )
