"""Look at a server: what it is, and everything that keeps it from being backed up."""

from dataclasses import dataclass
from typing import Any

import psycopg

from strongroom.model.errors import SourceError, SourceRefused, SourceUnsupported, VaultError
from strongroom.model.postgres import PAGE
from strongroom.model.protection.backup_type import DENIED, OF_STREAM
from strongroom.model.seams import Clock
from strongroom.model.work.operation import ServerFacts
from strongroom.postgres.backup.way import settle_way
from strongroom.postgres.server.connect import Conninfo, connect_to_read, replication
from strongroom.postgres.server.refusals import no_role, wal_level_minimal
from strongroom.postgres.server.system import identify

_TRIED_AGAIN_SECONDS = 3600
MOST_DATABASES = 200  # whose extensions are listed
_LONGEST_LINK = 99  # bytes; beyond it the server itself refuses to send the tablespace's link

_FACTS = """
select current_setting('server_version_num')::int, current_setting('server_version'),
       pg_is_in_recovery(), current_setting('data_checksums') = 'on',
       (select setting from pg_settings where name = 'data_directory'),
       (select rolname from pg_roles where oid = 10)  -- BOOTSTRAP_SUPERUSERID
"""
_SETTINGS = """
select current_setting('wal_level'), current_setting('max_wal_senders')::int,
       current_setting('block_size')::int, current_setting('full_page_writes'), current_user,
       (select rolreplication or rolsuper from pg_roles where rolname = current_user),
       (select count(*) from pg_stat_replication)::int
"""
_SIZES = """
select datname, coalesce(pg_database_size(oid), 0), datallowconn,
       datconnlimit <> -2 and has_database_privilege(oid, 'CONNECT')  -- -2: half dropped
from pg_database
where has_database_privilege(oid, 'CONNECT')
   or pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
order by datname
"""
_SPACES = """
select oid::text, pg_tablespace_location(oid) from pg_tablespace
where pg_tablespace_location(oid) <> '' order by oid
"""
_EXTENSIONS = "select extname, extversion from pg_extension order by extname"


@dataclass(frozen=True, slots=True)
class _Tried:
    """What a replication connection met, and when."""

    at: float
    identifier: str
    problems: list[VaultError]


class Refused:
    """Replication connections that the server's own settings refuse, by server: they are tried
    once an hour and not at every look, for each leaves a FATAL line in the server's log.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tried: dict[Conninfo, _Tried] = {}

    def last(self, conninfo: Conninfo) -> _Tried | None:
        """The last one, while it holds."""
        found = self._tried.get(conninfo)
        now = self._clock.monotonic()
        return found if found is not None and now - found.at < _TRIED_AGAIN_SECONDS else None

    def note(self, conninfo: Conninfo, identifier: str, problems: list[VaultError]) -> None:
        """It was tried now."""
        self._tried[conninfo] = _Tried(self._clock.monotonic(), identifier, problems)


def look(
    conninfo: Conninfo, name: str, source: str = "auto", refused: Refused | None = None
) -> ServerFacts:
    """All facts and all problems, not just the first. Never raises for what the server lacks.

    `source`: what its files shall be read from, as way.py takes it. `size_bytes` is the sum over
    the databases whose size this role may see; `extensions` are those of all databases that let it
    in. `refused`: for whoever looks again and again.
    """
    facts = ServerFacts(name=name, ready=False, endpoint=conninfo.endpoint)
    problems: list[VaultError] = []
    try:
        with connect_to_read(conninfo) as connection:
            closed = set[str]()
            problems += _read(connection, facts, closed)
        _read_extensions(conninfo, facts, closed)
        facts.dumpable = True
    except VaultError as error:
        problems.append(error)
    problems += _replication_problems(conninfo, facts, problems, refused)
    problems = settle_way(conninfo, source, facts, problems)
    facts.problems = [error.to_dict() for error in problems]
    facts.ready = not problems
    return facts


def _read(
    connection: psycopg.Connection[tuple[Any, ...]], facts: ServerFacts, closed: set[str]
) -> list[VaultError]:
    """`closed` is filled with the databases that would not let this role in."""
    row = connection.execute(_FACTS).fetchone()
    settings = connection.execute(_SETTINGS).fetchone()
    if row is None or settings is None:
        raise SourceUnsupported("the server tells nothing of itself")
    facts.version_number, facts.version_text = row[0], row[1]
    facts.in_recovery, facts.checksums = row[2], row[3]
    facts.data_directory = row[4] or ""  # hidden without pg_read_all_settings
    facts.administrator = row[5] or ""
    for database, size, open_to_all, lets_in in connection.execute(_SIZES).fetchall():
        facts.size_bytes += int(size)
        if open_to_all:
            facts.databases[database] = int(size)
        if not lets_in:
            closed.add(database)
    facts.tablespaces = dict(connection.execute(_SPACES).fetchall())
    return [*_setting_problems(settings, facts), *_tablespace_problems(facts)]


def _setting_problems(row: tuple[Any, ...], facts: ServerFacts) -> list[VaultError]:
    level, senders, block_size, full_pages, user, replicates, busy = row
    found: list[VaultError] = []
    if level == "minimal":
        found.append(wal_level_minimal())
    elif senders - busy < 2:
        found.append(
            SourceRefused(
                f"{max(senders - busy, 0)} of {senders} WAL senders are free, a backup needs two",
                hint=f"Set max_wal_senders = {busy + 4} in postgresql.conf and restart it.",
                facts={"cause": "max_wal_senders", DENIED: senders < 2, OF_STREAM: True},
            )
        )
    if not replicates:
        found.append(no_role(user))
    if block_size != PAGE:
        found.append(
            SourceUnsupported(
                f"the server's block size is {block_size}",
                hint=f"Only {PAGE}, PostgreSQL's default, can be backed up.",
            )
        )
    if facts.in_recovery and full_pages != "on":
        found.append(
            SourceRefused(
                "full_page_writes is off, so a standby cannot be backed up",
                hint="Set full_page_writes = on at the primary and reload it (no restart).",
            )
        )
    return found


def _tablespace_problems(facts: ServerFacts) -> list[VaultError]:
    return [
        SourceUnsupported(
            f"tablespace {oid} lies at a path of more than {_LONGEST_LINK} bytes: {place}",
            hint="Move it to a shorter path (stop, move the directory, set the link, start).",
        )
        for oid, place in facts.tablespaces.items()
        if len(place.encode()) > _LONGEST_LINK
    ]


def _read_extensions(conninfo: Conninfo, facts: ServerFacts, closed: set[str]) -> None:
    for database in list(facts.databases)[:MOST_DATABASES]:
        if database in closed:
            continue  # the backup holds it all the same
        try:
            with connect_to_read(conninfo.changed(dbname=database)) as connection:
                facts.extensions |= dict(connection.execute(_EXTENSIONS).fetchall())
        except SourceError:
            continue  # pg_hba.conf keeps us out, or it is full


def _replication_problems(
    conninfo: Conninfo, facts: ServerFacts, known: list[VaultError], refused: Refused | None
) -> list[VaultError]:
    """What a replication connection meets; not what an ordinary one has met already."""
    if any(isinstance(error, SourceUnsupported) for error in known) and not facts.version_number:
        return []
    is_hopeless = refused is not None and any(error.facts.get(DENIED) for error in known)
    if refused is not None and is_hopeless and (last := refused.last(conninfo)) is not None:
        facts.system_identifier = last.identifier
        return last.problems
    problems: list[VaultError] = []
    try:
        with replication(conninfo) as server:
            facts.system_identifier = str(identify(server).identifier)
    except VaultError as error:
        problems = [] if _is_known(error, known) else [error]
    if refused is not None and is_hopeless:
        refused.note(conninfo, facts.system_identifier, problems)
    return problems


def _is_known(error: VaultError, known: list[VaultError]) -> bool:
    return any(
        error.message == other.message or error.facts.get("cause", "") == other.facts.get("cause")
        for other in known
    )
