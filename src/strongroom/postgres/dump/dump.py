"""Dump a server: what it holds, and the programs that write it out, of the server's own major."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg

from strongroom.model.errors import SourceError, SourceRefused
from strongroom.model.postgres import major_of
from strongroom.postgres.dump.database_facts import read_facts
from strongroom.postgres.dump.identity_grants import read_identity_grants
from strongroom.postgres.server.client import Client, Program
from strongroom.postgres.server.connect import Conninfo, can_be_asked_for, connect_to_read
from strongroom.postgres.server.tools import Tools, find_tools

LOCK_SECONDS = 1800  # that pg_dump waits for a lock that somebody holds exclusively
# Databases of the providers of managed servers, into which they let nobody.
_PROVIDERS = ("rdsadmin", "azure_maintenance", "azure_sys", "cloudsqladmin", "alloydbadmin")
_SERVER = """
select current_setting('server_version_num')::int, pg_is_in_recovery(),
       has_table_privilege('pg_catalog.pg_authid', 'select')
"""
_DATABASES = """
select d.datname, pg_encoding_to_char(d.encoding), to_jsonb(d) - 'datacl' - 'datname',
       d.datallowconn, has_database_privilege(d.oid, 'CONNECT'),
       case when has_database_privilege(d.oid, 'CONNECT')
       then coalesce(pg_database_size(d.oid), 0) else 0 end
from pg_database d where d.datname not in ('template0', 'template1') order by d.datname
"""
_SETTINGS = """
select name, setting, unit, source from pg_settings
where source not in ('default', 'override', 'client', 'session') order by name
"""
_OF_DATABASES = """
select coalesce(d.datname, ''), coalesce(r.rolname, ''), s.setconfig
from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase
left join pg_roles r on r.oid = s.setrole order by 1, 2
"""
_INVALID = -2  # datconnlimit of a database whose DROP was broken off: nobody gets in any more
_EXTENSIONS = "select extname, extversion from pg_extension order by extname"


@dataclass(slots=True)
class Survey:
    """What a server holds, as far as this role may see; sizes in bytes."""

    version_number: int
    system_identifier: int = 0
    in_recovery: bool = False
    may_read_passwords: bool = False
    keeps_bytes: bool = False  # SQL_ASCII: nobody knows what its names mean
    databases: dict[str, int] = field(default_factory=dict)
    extensions: dict[str, dict[str, str]] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)  # by a name of ours
    gone: list[str] = field(default_factory=list)  # databases, since they were listed
    not_dumped: list[str] = field(default_factory=list)  # in the programs' own words


def survey(conninfo: Conninfo) -> Survey:
    """Look at a server that is to be dumped. Raises SourceError."""
    with connect_to_read(conninfo) as connection:
        row = connection.execute(_SERVER).fetchone()
        if row is None:
            raise SourceRefused("the server tells nothing of itself")
        found = Survey(row[0], in_recovery=row[1], may_read_passwords=row[2])
        found.keeps_bytes = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
        found.system_identifier = _identifier(connection)
        described = _databases(connection, found)
        names = ("name", "setting", "unit", "source")
        settings = connection.execute(_SETTINGS).fetchall()
        of_databases = connection.execute(_OF_DATABASES).fetchall()
    found.parameters = {
        "versionNumber": found.version_number,
        "rolePasswords": found.may_read_passwords,
        "databases": described,
        "settings": [dict(zip(names, setting, strict=True)) for setting in settings],
        "ofDatabasesAndRoles": [
            {"database": database, "role": role, "settings": config}
            for database, role, config in of_databases
        ],
    }
    for database in list(found.databases):
        try:
            with connect_to_read(conninfo.changed(dbname=database)) as connection:
                found.extensions[database] = dict(connection.execute(_EXTENSIONS).fetchall())
                described[database] |= read_identity_grants(connection)
        except SourceError:
            if not note_gone(conninfo, database, found):
                raise
    return found


def note_gone(conninfo: Conninfo, database: str, found: Survey) -> bool:
    """Whether a database is not there any more; what was found does not name it then.

    Raises SourceError when the server does not say.
    """
    with connect_to_read(conninfo) as connection:
        there = "select 1 from pg_database where datname = %s and datconnlimit <> %s"
        if connection.execute(there, (database, _INVALID)).fetchone():
            return False
    found.gone.append(database)
    for told in (found.databases, found.extensions, found.parameters["databases"]):
        told.pop(database, None)
    return True


def _identifier(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    allowed = "select has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
    row = connection.execute(allowed).fetchone()
    if row is None or not row[0]:
        return 0
    row = connection.execute("select system_identifier from pg_control_system()").fetchone()
    return int(row[0]) & (1 << 64) - 1 if row else 0


def _databases(
    connection: psycopg.Connection[tuple[Any, ...]], found: Survey
) -> dict[str, dict[str, Any]]:
    described: dict[str, dict[str, Any]] = {}
    rows = connection.execute(_DATABASES).fetchall()
    facts_of = read_facts(connection)
    for name, encoding, facts, lets_in, lets_us_in, size in rows:
        if name in _PROVIDERS:
            continue
        if facts["datconnlimit"] == _INVALID or not lets_in or not lets_us_in:
            found.left_out.append(name)
            continue
        if not can_be_asked_for(connection, [name]):
            found.unreachable.append(name)
            continue
        found.databases[name] = int(size)
        if name not in facts_of:  # dropped meanwhile
            found.gone.append(name)
            del found.databases[name]
            continue
        described[name] = {**_locale(facts), "encoding": encoding, **facts_of[name]}
        described[name]["file"] = file_of(name)
    return described


def _locale(facts: dict[str, Any]) -> dict[str, Any]:
    """collate, ctype, provider (c: libc, i: ICU, b: built in), locale and rules of ICU."""
    return {
        "collate": facts["datcollate"],
        "ctype": facts["datctype"],
        "provider": facts.get("datlocprovider", "c"),
        "locale": facts.get("datlocale") or facts.get("daticulocale") or "",
        "rules": facts.get("daticurules") or "",
        "connectionLimit": facts["datconnlimit"],
    }


def file_of(database: str) -> str:
    """The name of a database's dump in the point: odd characters as %XX of their UTF-8."""
    return f"{quote(database, safe=' ')}.dump"


def warnings_of(found: Survey) -> list[SourceRefused]:
    """What of the server is not in its dump, if anything."""
    told = [
        SourceRefused(f"{what}: {', '.join(databases)}", hint=hint, facts={"databases": databases})
        for what, databases, hint in (
            (
                "databases that let the agent's role not in were left out",
                found.left_out,
                "Run as a superuser: GRANT CONNECT ON DATABASE ... TO the role (and see "
                "datallowconn), or drop what is not wanted any more.",
            ),
            (
                "databases whose names are kept as something else than UTF-8 were left out",
                found.unreachable,
                "Rename them (ALTER DATABASE ... RENAME TO, from a database of their own "
                "encoding), or have the server backed up as a whole: backupType Physical.",
            ),
            (
                "databases were dropped or renamed while they were to be dumped",
                found.gone,
                "One that has another name now is in the next backup.",
            ),
        )
        if databases
    ]
    if found.not_dumped:
        told.append(
            SourceRefused(
                f"pg_dump left something out: {'; '.join(found.not_dumped)[:600]}",
                hint="Give the role of the agent the right to read it.",
            )
        )
    return told


def dump_tools(version_number: int) -> Tools:
    """The programs of the server's own major. Raises ToolsMissing."""
    tools = find_tools(major_of(version_number), program="pg_dump")
    tools.program("pg_dumpall")
    return tools


def dump_database(
    tools: Tools, client: Client, database: str, found: Survey, level: int = 0
) -> Program:
    """pg_dump in its own format; not compressed: what did not change stays the same bytes."""
    command = [str(tools.program("pg_dump")), "-Fc", f"-Z{level}", "-w", "--quote-all-identifiers"]
    command += [f"--lock-wait-timeout={LOCK_SECONDS * 1000}", *_in_its_encoding(database, found)]
    if found.in_recovery:
        command.append("--no-unlogged-table-data")  # a standby has none
    command += ["-d", client.target(database)]
    return Program(command, client, f"pg_dump of {database}")


def dump_definitions(tools: Tools, client: Client, database: str, found: Survey) -> Program:
    """The definitions of one database, as SQL."""
    command = [str(tools.program("pg_dump")), "--schema-only", "--create", "-w"]
    command += [f"--lock-wait-timeout={LOCK_SECONDS * 1000}", *_in_its_encoding(database, found)]
    command += ["-d", client.target(database)]
    return Program(command, client, f"pg_dump of the definitions of {database}")


def _in_its_encoding(database: str, found: Survey) -> list[str]:
    """The default, but where a role or a server was given an encoding for its clients."""
    return [f"--encoding={found.parameters['databases'][database]['encoding']}"]


def dump_globals(tools: Tools, client: Client, found: Survey) -> Program:
    """pg_dumpall of roles and tablespaces; without passwords where the role may not read them."""
    database = client.conninfo.get("dbname") or "postgres"
    command = [str(tools.program("pg_dumpall")), "--globals-only", "-w", "-l", database]
    command += ["--quote-all-identifiers", "-d", client.target(database)]
    if not found.may_read_passwords:
        command.append("--no-role-passwords")
    if not found.keeps_bytes:
        command.append("--encoding=UTF8")
    return Program(command, client, "pg_dumpall")


def as_json(told: dict[str, Any]) -> bytes:
    """For a person and for a program: sorted, a line for each thing."""
    return json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
