"""Look at a server: what it is, and everything that keeps it from being backed up."""

from typing import Any

import psycopg

from strongroom.model.errors import SourceRefused, SourceUnsupported, VaultError
from strongroom.model.operation import ServerFacts
from strongroom.model.postgres import PAGE
from strongroom.postgres.basebackup import identify
from strongroom.postgres.connect import Conninfo, connect, replication

_FACTS = """
select current_setting('server_version_num')::int, current_setting('server_version'),
       pg_is_in_recovery(), current_setting('data_checksums') = 'on',
       current_setting('wal_level'), current_setting('max_wal_senders')::int,
       current_setting('max_replication_slots')::int, current_setting('block_size')::int,
       current_user,
       (select rolreplication or rolsuper from pg_roles where rolname = current_user),
       (select count(*) from pg_stat_replication)::int
"""
_SIZES = "select datname, pg_database_size(oid) from pg_database where datallowconn order by 1"
_SPACES = """
select oid::text, pg_tablespace_location(oid) from pg_tablespace
where pg_tablespace_location(oid) <> ''
"""
_EXTENSIONS = "select extname, extversion from pg_extension order by 1"
_DIRECTORY = """
select setting from pg_settings where name = 'data_directory'
"""


def look(conninfo: Conninfo, name: str) -> ServerFacts:
    """All facts and all problems, not just the first. Never raises for what the server lacks."""
    facts = ServerFacts(name=name, ready=False, endpoint=conninfo.endpoint)
    problems: list[VaultError] = []
    try:
        with connect(conninfo) as connection:
            problems += _read(connection, facts)
    except VaultError as error:
        problems.append(error)
    if facts.version_number:
        problems += _replication_problems(conninfo, facts, problems)
    facts.problems = [error.to_dict() for error in problems]
    facts.ready = not problems
    return facts


def _read(connection: psycopg.Connection[tuple[Any, ...]], facts: ServerFacts) -> list[VaultError]:
    row = connection.execute(_FACTS).fetchone()
    if row is None:
        raise SourceUnsupported("the server tells nothing of itself")
    facts.version_number, facts.version_text = row[0], row[1]
    facts.in_recovery, facts.checksums = row[2], row[3]
    for database, size in connection.execute(_SIZES).fetchall():
        facts.databases[database] = int(size)
    facts.size_bytes = sum(facts.databases.values())
    facts.tablespaces = dict(connection.execute(_SPACES).fetchall())
    facts.extensions = dict(connection.execute(_EXTENSIONS).fetchall())
    directory = connection.execute(_DIRECTORY).fetchone()
    facts.data_directory = directory[0] if directory else ""
    return list(_setting_problems(row))


def _setting_problems(row: tuple[Any, ...]) -> list[VaultError]:
    level, senders, slots, block_size, user, replicates, busy = row[4:11]
    found: list[VaultError] = []
    if level == "minimal":
        found.append(
            SourceRefused(
                "wal_level is minimal",
                hint="set wal_level = replica in postgresql.conf and restart the server",
            )
        )
    if senders - busy < 2:
        found.append(
            SourceRefused(
                f"{max(senders - busy, 0)} of {senders} WAL senders are free, two are needed",
                hint=f"set max_wal_senders = {busy + 4} in postgresql.conf and restart the server",
            )
        )
    if slots < 1:
        found.append(
            SourceRefused(
                "max_replication_slots is 0",
                hint="set max_replication_slots = 4 in postgresql.conf and restart the server",
            )
        )
    if not replicates:
        found.append(
            SourceRefused(
                f"the role {user} may not replicate",
                hint=f'run as a superuser: ALTER ROLE "{user}" REPLICATION;',
            )
        )
    if block_size != PAGE:
        found.append(SourceUnsupported(f"the server's block size is {block_size}"))
    return found


def _replication_problems(
    conninfo: Conninfo, facts: ServerFacts, known: list[VaultError]
) -> list[VaultError]:
    try:
        with replication(conninfo) as pgconn:
            facts.system_identifier = str(identify(pgconn).identifier)
    except VaultError as error:
        same = any("replicate" in e.message for e in known) and "replicate" in error.message
        senders = any("WAL sender" in e.message for e in known) and "WAL sender" in error.message
        return [] if same or senders else [error]
    return []
