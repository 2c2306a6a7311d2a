"""Load dumps into a running server: databases, roles when asked, and pg_restore of its own major.

Nothing that came out of a dump is ever given to psql, whose commands a dump may hold
(CVE-2025-8714, CVE-2025-8715): pg_restore speaks to the server itself, and roles are made
statement by statement, each of a kind that is expected.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from strongroom.model.errors import SourceRefused, TargetNotEmpty, TargetRefused, VaultError
from strongroom.model.postgres import major_of
from strongroom.postgres.dump.database_facts import apply_facts
from strongroom.postgres.dump.database_settings import Setting, apply_settings
from strongroom.postgres.server.client import Client, Program
from strongroom.postgres.server.connect import Conninfo, any_names, connect
from strongroom.postgres.server.tools import Tools
from strongroom.postgres.server.wrapper import ends_with_us

Connection = psycopg.Connection[tuple[Any, ...]]
_ROLES = re.compile(r"(CREATE ROLE|ALTER ROLE|GRANT|COMMENT ON ROLE)\s", re.IGNORECASE)
_NAMED = re.compile(r'(?:CREATE|ALTER) ROLE (?:"((?:[^"]|"")+)"|([^\s;"]+))', re.IGNORECASE)
_PIECE = re.compile(
    r"""--[^\n]*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|[^-eE'";]+|.""",
    re.DOTALL,
)
_LACKED = re.compile(
    r"(type|relation|function|operator class|operator|collation|schema|access method|text search "
    r"configuration|operator family|language) [^:]* does not exist"
)
_SET_SINCE = 16  # since then a member may be kept from acting for the role
_EMPTY = """
select not exists (
  select from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  union all select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  union all select from pg_namespace n where n.nspname !~ '^pg_'
  and n.nspname not in ('information_schema', 'public')
  union all select from pg_largeobject_metadata)
"""


def statements_of(text: str) -> Iterator[str]:
    """The SQL statements of a script, without comments and without psql's own commands."""
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith("\\"))
    statement = ""
    for piece in _PIECE.findall("".join(lines)):
        if piece.startswith("--"):
            continue
        if piece != ";":
            statement += piece
            continue
        if statement.strip():
            yield statement.strip()
        statement = ""


def role_statements(globals_sql: str) -> list[str]:
    """What makes the roles; tablespaces, settings and everything else is left out."""
    return [each for each in statements_of(globals_sql) if _ROLES.match(each)]


def role_of(statement: str) -> str:
    """The role that a CREATE or ALTER ROLE is about; empty for another statement."""
    found = _NAMED.match(statement)
    if found is None:
        return ""
    return found[1].replace('""', '"') if found[1] else found[2]


def roles_of(globals_sql: str) -> set[str]:
    """Every role that the dumped server had."""
    creating = (s for s in role_statements(globals_sql) if s.upper().startswith("CREATE"))
    return {_shown(role_of(statement)) for statement in creating}


def _shown(name: str) -> str:
    """As a server's own names are read (connect.py): with U+FFFD for what is no UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def existing_roles(connection: Connection) -> set[str]:
    """Every role of the target."""
    with any_names(connection):
        return {row[0] for row in connection.execute("select rolname from pg_roles").fetchall()}


def out_of_reach(connection: Connection) -> set[str]:
    """The roles that whoever loads may give nothing to: not a superuser, and no member of theirs.

    pg_database_owner is whoever owns the database that is asked, which is another one.
    """
    how = "SET" if major_of(connection.info.server_version) >= _SET_SINCE else "MEMBER"
    query = (
        "select rolname from pg_catalog.pg_roles "
        "where rolname <> 'pg_database_owner' and not pg_catalog.pg_has_role(oid, %s)"
    )
    with any_names(connection):
        return {row[0] for row in connection.execute(query, (how,)).fetchall()}


def not_given(roles: Collection[str]) -> TargetRefused:
    """What is told where owners were left out for them."""
    names = ", ".join(sorted(roles)[:20])
    return TargetRefused(
        f"owners and privileges were left out: the role that loads may not act for {names}",
        hint="Load as a superuser, or grant it those roles first.",
    )


def make_roles(connection: Connection, globals_sql: str) -> list[str]:
    """Make the roles that are missing; those that are there stay as they are.

    Returns what the server refused, a line each: never the statement, which may hold a password.
    """
    before = existing_roles(connection)
    refused: list[str] = []
    with any_names(connection):
        for statement in role_statements(globals_sql):
            role = _shown(role_of(statement))
            if role in before:
                continue
            try:
                connection.execute(statement.encode(errors="surrogateescape"))
            except psycopg.Error as error:
                if error.sqlstate == "42710":
                    continue
                primary = error.diag.message_primary or type(error).__name__
                refused.append(f"{' '.join(statement.split()[:2])} {role}: {primary}")
    return refused


def databases_of(connection: Connection) -> set[str]:
    """Names of all databases of the target."""
    with any_names(connection):
        return {row[0] for row in connection.execute("select datname from pg_database").fetchall()}


def check_empty(conninfo: Conninfo, database: str) -> None:
    """TargetNotEmpty when a database that is there holds anything of somebody's."""
    with connect(conninfo.changed(dbname=database)) as connection:
        row = connection.execute(_EMPTY).fetchone()
    if row is None or not row[0]:
        raise TargetNotEmpty(
            f"database {database} of the target is not empty",
            hint=f"Load under another name: --rename {database}=NEW, or drop it first.",
        )


def check_major(source: int, target: int) -> None:
    """The target is of the dumped server's major version, or newer. Numbers as the server's."""
    if major_of(target) < major_of(source):
        raise TargetRefused(
            f"a dump of PostgreSQL {major_of(source)} cannot be loaded into {major_of(target)}",
            hint=f"Load it into a server of version {major_of(source)} or newer.",
        )


def create_database(
    connection: Connection, name: str, described: Mapping[str, Any], *, owner: str = ""
) -> None:
    """From template0, with the encoding and locale that it was dumped with.

    Raises TargetRefused, in the server's words.
    """
    options = {
        "ENCODING": described.get("encoding", "UTF8"),
        "LC_COLLATE": described.get("collate", ""),
        "LC_CTYPE": described.get("ctype", ""),
    }
    provider, locale = described.get("provider", "c"), described.get("locale", "")
    if provider == "i":
        options |= {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": locale}
        options |= {"ICU_RULES": described["rules"]} if described.get("rules") else {}
    elif provider == "b":
        options |= {"LOCALE_PROVIDER": "builtin", "BUILTIN_LOCALE": locale}
    parts = [
        sql.SQL("{} = {}").format(sql.SQL(option), sql.Literal(value))
        for option, value in options.items()
        if value
    ]
    if owner:
        parts.append(sql.SQL("OWNER = {}").format(sql.Identifier(owner)))
    command = sql.SQL("CREATE DATABASE {} TEMPLATE = template0 {}").format(
        sql.Identifier(name), sql.SQL(" ").join(parts)
    )
    try:
        connection.execute(command)
    except psycopg.Error as error:
        raise TargetRefused(
            f"database {name} cannot be made: {error.diag.message_primary or error}",
            hint="Give the role CREATEDB; a locale that this host lacks must be installed there.",
        ) from error


def settle_database(
    connection: Connection,
    names: tuple[str, str],
    settings: Iterable[Setting],
    described: Mapping[str, Any],
    *,
    privileges: bool,
) -> list[VaultError]:
    """Give a database that was filled what a dump leaves out -> what was refused.

    `names`: its name now, and for people. `described`: as a point notes it; nothing of one that
    was there before.
    """
    refused = apply_settings(connection, names[0], settings, existing_roles(connection))
    told: list[VaultError] = [
        TargetRefused(
            f"a setting of database {names[1]} is not as it was: {line}",
            hint="Set it by hand: ALTER DATABASE ... SET, or ALTER ROLE ... IN DATABASE.",
        )
        for line in refused
    ]
    lines = apply_facts(connection, names[0], described, privileges=privileges)
    return told + [
        TargetRefused(
            f"database {names[1]} is not as it was: {line}",
            hint="Mend it by hand: ALTER DATABASE ..., GRANT ... ON DATABASE.",
        )
        for line in lines
    ]


@contextmanager
def telling_missing(roles: Collection[str]) -> Iterator[None]:
    """A policy, or the mapping of a user, names its role even where owners and privileges are
    left out: whoever reads what pg_restore objects to is told which roles to make.
    """
    try:
        yield
    except SourceRefused as error:
        if not any(f'"{role}" does not exist' in error.message for role in roles):
            raise
        names = ", ".join(sorted(roles)[:20])
        told = f"The server lacks the roles {names}: make them first, and load it again."
        raise TargetRefused(error.message, hint=told) from error


@contextmanager
def telling_alone(database: str) -> Iterator[None]:
    """Of a table that comes by itself: what it names must be there before it."""
    try:
        yield
    except SourceRefused as error:
        if not _LACKED.search(error.message):
            raise
        hint = (
            f"A table comes without what it uses: make that in {database} first, or load the "
            "whole database under another name (--rename, without --table)."
        )
        raise TargetRefused(error.message, hint=hint) from error


def restore_database(
    tools: Tools, client: Client, database: str, dump: Path, *, jobs: int, owners: bool
) -> Program:
    """pg_restore into an empty database; it ends at the first error, and when we are killed.

    For the thread that runs it to its end.
    Without `owners` everything belongs to the role that loads, and no privilege is granted.
    No `jobs` (0) is one transaction: for few objects, of which nothing is there before it ends.
    """
    command = [*ends_with_us(), str(tools.program("pg_restore")), "-w", "--exit-on-error"]
    command.append("--no-tablespaces")
    command += ["--no-subscriptions", f"--jobs={jobs}" if jobs else "--single-transaction"]
    if not owners:
        command += ["--no-owner", "--no-privileges"]
    command += ["-d", client.target(database), str(dump)]
    return Program(command, client, f"pg_restore into {database}")
