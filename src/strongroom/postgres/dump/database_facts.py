"""What a database is beside its content: whose it is, who may enter, how many, and its comment.

pg_dump leaves all of it out unless it makes the database itself, under the name that it had.
Source: PostgreSQL manual, "Privileges"; pg_dump.c, dumpDatabase.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

_FACTS = """
select d.datname, pg_catalog.pg_get_userbyid(d.datdba),
       pg_catalog.shobj_description(d.oid, 'pg_database'),
       case when d.datacl is not null then (
         select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
           coalesce(r.rolname, ''), a.privilege_type, a.is_grantable
         ) order by r.rolname nulls first, a.privilege_type), '[]')
         from pg_catalog.aclexplode(d.datacl) a
         left join pg_catalog.pg_roles r on r.oid = a.grantee
         where a.grantee = 0 or r.oid is not null
       ) end
from pg_catalog.pg_database d where %s::text in ('', d.datname::text)
"""
_PRIVILEGES = {each: sql.SQL(each) for each in ("CREATE", "TEMPORARY", "CONNECT")}


def read_facts(
    connection: psycopg.Connection[Any], database: str = ""
) -> dict[str, dict[str, Any]]:
    """Of each database (or of one) `owner`, `comment` and `privileges`.

    A privilege is [role, privilege, may grant it]; the role of PUBLIC is empty. None of them at
    all (None) are those that a new database has.
    """
    rows = connection.execute(_FACTS, (database,)).fetchall()
    return {
        name: {"owner": owner, "comment": comment or "", "privileges": privileges}
        for name, owner, comment, privileges in rows
    }


def apply_facts(
    connection: psycopg.Connection[tuple[Any, ...]],
    database: str,
    described: Mapping[str, Any],
    *,
    privileges: bool,
) -> list[str]:
    """Of a database that was made anew: the number of its connections and, when wanted, who may
    enter. The owner is given as it is made. Returns what was refused, a line each.
    """
    name = sql.Identifier(database)
    refused: list[str] = []
    statements: list[tuple[str, sql.Composed]] = []
    limit = int(described.get("connectionLimit", -1))
    if limit >= 0:
        command = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(limit))
        statements.append(("the limit of connections", command))
    granted = described.get("privileges") if privileges else None
    if granted is not None:
        for role in (sql.SQL("PUBLIC"), sql.Identifier(described["owner"])):
            command = sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, role)
            statements.append(("what everybody may", command))
    for role, what, may_grant in granted or ():
        words = f"{what} of {role or 'everybody'}"
        if what not in _PRIVILEGES:
            refused.append(f"{words}: nobody knows this privilege")
            continue
        command = sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            _PRIVILEGES[what],
            name,
            sql.Identifier(role) if role else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if may_grant else ""),
        )
        statements.append((words, command))
    return refused + [line for each in statements if (line := _refused(connection, *each))]


def _refused(
    connection: psycopg.Connection[tuple[Any, ...]], words: str, statement: sql.Composed
) -> str:
    try:
        connection.execute(statement)
    except psycopg.DatabaseError as error:
        if connection.broken:
            raise
        return f"{words}: {error.diag.message_primary or error}"
    return ""
