"""Every way in which PostgreSQL says no, as one typed error with the exact remedy.

A connection that fails before it stands gives text alone: libpq hands on no SQLSTATE. The text is
matched by the identifiers that PostgreSQL never translates (pg_hba.conf, max_wal_senders) where
there are any. Commands on a standing connection are matched by SQLSTATE.
Source: PostgreSQL manual, "The pg_hba.conf File", appendix A "Error Codes"; libpq fe-connect.c.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from strongroom.model.errors import (
    SourceError,
    SourceRefused,
    SourceStopped,
    SourceUnreachable,
    SourceUnsupported,
    WalGap,
)
from strongroom.model.postgres import NEWEST_MAJOR, OLDEST_MAJOR, major_of
from strongroom.model.protection.backup_type import DENIED, OF_STREAM

_STOPPED = "It is tried again; the server's log says why it stopped."
# The server says no more when it ends our connection to take the slot of the backup back.
_TAKEN_BACK = (
    "It is tried again; the server's log says why: a shutdown, or log that the backup needs had "
    "outgrown max_slot_wal_keep_size, which must then be raised."
)
_SIMPLE_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_QUOTES = '"\u00ab\u00bb\u201e\u201c\u201d'  # of every language that PostgreSQL speaks
_QUOTED = re.compile(rf"[{_QUOTES}]\s?([^{_QUOTES}]*?)\s?[{_QUOTES}]")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tried to reach what. Holds no secret."""

    user: str
    database: str
    endpoint: str
    replicating: bool
    certificate: bool = False  # the client shows a certificate instead of a password
    has_password: bool = False  # one was given
    needs_password: bool = False  # the server asked for one and none was given


def quote_name(name: str) -> str:
    """An SQL identifier, quoted where it must be."""
    return name if _SIMPLE_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def check_version(number: int) -> None:
    """Refuse by name what cannot be backed up. `number` is server_version_num."""
    major = major_of(number)
    if not OLDEST_MAJOR <= major <= NEWEST_MAJOR:
        raise SourceUnsupported(
            f"PostgreSQL {major} is not supported",
            hint=f"Upgrade {'the server' if major < OLDEST_MAJOR else 'strongroom'}: "
            f"PostgreSQL {OLDEST_MAJOR} to {NEWEST_MAJOR} can be backed up.",
            facts={"versionNumber": number},
        )


def no_role(user: str) -> SourceRefused:
    """The role lacks the REPLICATION attribute."""
    return SourceRefused(
        f"the role {user} may not replicate",
        hint=f"Run as a superuser: ALTER ROLE {quote_name(user)} REPLICATION;",
        facts={"cause": "replication", DENIED: True, OF_STREAM: True},
    )


def no_wal_sender() -> SourceRefused:
    """All WAL senders are taken, or there are none."""
    return SourceRefused(
        "no WAL sender is free: a backup needs two of max_wal_senders",
        hint="Raise max_wal_senders by two or more (wal_level must be replica) in postgresql.conf "
        "and restart the server.",
        facts={"cause": "max_wal_senders", OF_STREAM: True},
    )


def wal_level_minimal() -> SourceRefused:
    """The server writes too little log to be backed up while it runs."""
    return SourceRefused(
        "wal_level is minimal",
        hint="Set wal_level = replica and max_wal_senders = 10 in postgresql.conf and restart "
        "the server.",
        facts={"cause": "max_wal_senders", DENIED: True},
    )


def hba_line(attempt: Attempt, address: str, *, encrypted: bool = False) -> str:
    """The exact line of pg_hba.conf that lets this attempt in. `address`: `[local]` or an IP."""
    database = "replication" if attempt.replicating else _hba_name(attempt.database)
    user = _hba_name(attempt.user)
    if address == "[local]":
        return f"local {database} {user} {'scram-sha-256' if attempt.has_password else 'peer'}"
    kind = "hostssl" if encrypted or attempt.certificate else "host"
    method = "cert" if attempt.certificate else "scram-sha-256"
    return f"{kind} {database} {user} {_network(address)} {method}"


def _network(address: str) -> str:
    try:
        return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"
    except ValueError:
        return "samenet"


def _hba_name(name: str) -> str:
    """A name as pg_hba.conf takes it: keywords such as `all` lose their meaning quoted."""
    plain = _SIMPLE_NAME.fullmatch(name) and name not in {"all", "replication", "sameuser"}
    return name if plain else '"' + name.replace('"', '""') + '"'


def refused_connection(words: str, attempt: Attempt) -> SourceError:
    """The typed error for a connection that never stood; `words` are libpq's."""
    words = " ".join(words.split())
    if attempt.needs_password or "no password supplied" in words:
        return SourceRefused(
            f"the server asks for a password of {attempt.user} and none was given",
            hint="Put it into the connection string, or into the passfile (~/.pgpass) of the "
            "agent's user.",
        )
    for fragments, make in _RULES:
        if any(fragment in words for fragment in fragments):
            return make(words, attempt)
    if "FATAL" in words:  # in another language perhaps, and it may just be starting
        return SourceUnreachable(
            f"{attempt.endpoint} refuses the connection: {_shorten(words)}",
            hint="See the server's log for the reason; it is tried again.",
        )
    return SourceUnreachable(
        f"{attempt.endpoint} cannot be reached: {_shorten(words)}",
        hint="See that the server runs, and that a firewall lets the agent through.",
    )


def _hba(words: str, attempt: Attempt) -> SourceError:
    quoted = _QUOTED.findall(words[words.index("pg_hba.conf") :])
    address = quoted[0] if quoted else "samenet"
    where = "the local socket" if address == "[local]" else address
    what = "replication connections" if attempt.replicating else f"database {attempt.database}"
    encrypted = "SSL encryption" in words and "no encryption" not in words
    line = hba_line(attempt, address, encrypted=encrypted)
    return SourceRefused(
        f"pg_hba.conf lets {attempt.user} from {where} into no {what}"
        if attempt.replicating
        else f"pg_hba.conf does not let {attempt.user} from {where} into {what}",
        hint=f"Add this line to pg_hba.conf, then run SELECT pg_reload_conf(): {line}",
        facts={"line": line, DENIED: attempt.replicating, OF_STREAM: attempt.replicating},
    )


def _wrong_password(_words: str, attempt: Attempt) -> SourceError:
    return SourceRefused(
        f"the server refuses the password of {attempt.user}",
        hint="Correct it in the connection string or in the passfile (~/.pgpass).",
    )


def _wrong_user(words: str, attempt: Attempt) -> SourceError:
    return SourceRefused(
        f"the server does not take the agent for {attempt.user}: {_shorten(words)}",
        hint="Connect over TCP with a password, or map the agent's user in pg_ident.conf.",
    )


def _missing(words: str, attempt: Attempt) -> SourceError:
    if f'database "{attempt.database}"' in words:
        return SourceRefused(
            f"there is no database {attempt.database}",
            hint="Name an existing one (postgres, for instance) in the connection string.",
        )
    return SourceRefused(
        f"the role {attempt.user} is not there or may not log in",
        hint=f"Run as a superuser: CREATE ROLE {quote_name(attempt.user)} LOGIN REPLICATION "
        "PASSWORD '...'; (or ALTER ROLE, when it exists).",
    )


def _no_host(_words: str, attempt: Attempt) -> SourceError:
    return SourceUnreachable(
        f"there is no host of the name in {attempt.endpoint}",
        hint="Correct the host in the connection string, or the name service.",
    )


def _nobody_listens(_words: str, attempt: Attempt) -> SourceError:
    return SourceUnreachable(
        f"nothing listens at {attempt.endpoint}",
        hint="Start PostgreSQL, or correct host and port; listen_addresses must name the address.",
    )


def _no_answer(_words: str, attempt: Attempt) -> SourceError:
    return SourceUnreachable(
        f"{attempt.endpoint} does not answer in time",
        hint="See that the host is up and that no firewall drops the agent's packets.",
    )


def _not_ready(words: str, attempt: Attempt) -> SourceError:
    return SourceUnreachable(
        f"{attempt.endpoint} does not take connections yet: {_shorten(words)}",
        hint="Wait until it has started; it is tried again.",
    )


def _full(_words: str, attempt: Attempt) -> SourceError:
    return SourceUnreachable(
        f"{attempt.endpoint} has no free connection",
        hint="Raise max_connections (with a restart), or the role's CONNECTION LIMIT.",
    )


def _encryption(words: str, _attempt: Attempt) -> SourceError:
    return SourceRefused(
        f"no encrypted connection can be made: {_shorten(words)}",
        hint="Correct sslmode, sslrootcert and sslcert in the connection string, or the server's "
        "certificate.",
    )


def _role(_words: str, attempt: Attempt) -> SourceError:
    return no_role(attempt.user)


def _senders(_words: str, _attempt: Attempt) -> SourceError:
    return no_wal_sender()


_RULES: tuple[tuple[tuple[str, ...], Callable[[str, Attempt], SourceError]], ...] = (
    (("pg_hba.conf",), _hba),
    (("max_wal_senders",), _senders),
    (("walsender", "WAL sender", "WAL-Sender", "REPLICATION"), _role),
    (("password authentication failed",), _wrong_password),
    (("authentication failed",), _wrong_user),
    (("does not exist", "not permitted to log in"), _missing),
    (("failed to resolve host", "could not translate host name"), _no_host),
    (("Connection refused", "No such file or directory"), _nobody_listens),
    (("timeout", "timed out", "No route to host", "unreachable"), _no_answer),
    (("starting up", "shutting down", "recovery mode", "not accepting", "not yet"), _not_ready),
    (("too many", "connection slots", "max_connections"), _full),
    (("SSL", "certificate"), _encryption),
)


def failed_command(sqlstate: str, words: str, what: str) -> SourceError:
    """The typed error for a command that a standing connection refused, in the middle of `what`.

    An empty SQLSTATE means that the connection itself is gone; facts hold it as `sqlstate`.
    """
    words = _shorten(" ".join(words.split())) or "the connection closed"
    facts = {"sqlstate": sqlstate}
    if _is_gone(sqlstate):
        return SourceStopped(
            f"the server went away while {what}: {words}",
            hint=_TAKEN_BACK if sqlstate == "57P01" else _STOPPED,
            facts=facts,
        )
    if sqlstate == "58P01":  # undefined_file: a WAL segment that is no longer there
        return WalGap(
            f"write-ahead log that the backup needs is gone: {words}",
            hint="Raise max_slot_wal_keep_size or wal_keep_size; it is tried again.",
            facts=facts,
        )
    if sqlstate == "42501":
        return SourceRefused(
            f"not enough privilege for {what}: {words}",
            hint="Run as a superuser: ALTER ROLE ... REPLICATION; for the role of the agent.",
            facts=facts,
        )
    if sqlstate[:2] in {"53", "58", "XX"}:  # resources, system error, internal error
        return SourceStopped(
            f"the server failed while {what}: {words}",
            hint="See the server's log: disk, memory, a damaged file.",
            facts=facts,
        )
    return SourceRefused(
        f"the server refuses {what}: {words}", hint="See the server's log.", facts=facts
    )


def connection_is_gone(error: SourceError) -> bool:
    """Whether a failed command took its connection with it."""
    return _is_gone(str(error.facts.get("sqlstate", "")))


def _is_gone(sqlstate: str) -> bool:
    return not sqlstate or sqlstate.startswith(("08", "57P"))


def _shorten(words: str) -> str:
    return words if len(words) <= 300 else words[:300] + "..."
