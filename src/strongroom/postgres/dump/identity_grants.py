"""Who may use the sequences of identity columns: pg_dump before 15 leaves their privileges out.

Source: PostgreSQL's commit "pg_dump: Dump ACLs of identity sequences", of 15; seen on 14.
"""

from collections.abc import Collection, Mapping
from typing import Any

import psycopg
from psycopg import sql

from strongroom.model.errors import TargetRefused, VaultError
from strongroom.model.postgres import major_of
from strongroom.model.work.extract import TableName

KEY = "identityGrants"  # beside the facts of a database
_DUMPED_SINCE = 15
_GRANTS = """
select n.nspname, t.relname, a.attname, coalesce(r.rolname, ''), g.privilege_type, g.is_grantable
from pg_catalog.pg_class s
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = s.oid
  and d.refclassid = 'pg_catalog.pg_class'::regclass and d.deptype = 'i'
join pg_catalog.pg_class t on t.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
cross join pg_catalog.aclexplode(s.relacl) g
left join pg_catalog.pg_roles r on r.oid = g.grantee
where s.relkind = 'S' and g.grantee <> s.relowner and (g.grantee = 0 or r.oid is not null)
order by 1, 2, 3, 4, 5
"""
_PRIVILEGES = {each: sql.SQL(each) for each in ("SELECT", "UPDATE", "USAGE")}


def read_identity_grants(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Of the database of the connection, to be kept among its facts; nothing where pg_dump does.

    A grant is [schema, table, column, role, privilege, may grant it]; PUBLIC's role is empty.
    """
    if major_of(connection.info.server_version) >= _DUMPED_SINCE:
        return {}
    found = [list(row) for row in connection.execute(_GRANTS).fetchall()]
    return {KEY: found} if found else {}


def grants_of(
    described: Mapping[str, Any], tables: Collection[TableName] = ()
) -> list[tuple[Any, ...]]:
    """Those among the facts of a database; of these tables alone, if there are any."""
    found = [tuple(row) for row in described.get(KEY, ())]
    return [row for row in found if not tables or TableName(schema=row[0], name=row[1]) in tables]


def give_again(
    connection: psycopg.Connection[Any], grants: Collection[tuple[Any, ...]]
) -> list[VaultError]:
    """Give them in the database of the connection -> what was refused."""
    refused: list[VaultError] = []
    for schema, table, column, role, privilege, may_grant in grants:
        try:
            _give(connection, (schema, table, column), role, privilege, may_grant=may_grant)
        except psycopg.DatabaseError as error:
            if connection.broken:
                raise
            words = f"{privilege} of {role or 'everybody'} on the sequence of {table}.{column}"
            told = error.diag.message_primary or error
            hint = "Grant it by hand: GRANT ... ON SEQUENCE."
            refused.append(TargetRefused(f"{words} is not as it was: {told}", hint=hint))
    return refused


def _give(
    connection: psycopg.Connection[Any],
    column: tuple[str, str, str],
    role: str,
    privilege: str,
    *,
    may_grant: bool,
) -> None:
    where = sql.Identifier(*column[:2]).as_string(connection)
    row = connection.execute(
        "select n.nspname, s.relname from pg_catalog.pg_class s "
        "join pg_catalog.pg_namespace n on n.oid = s.relnamespace "
        "where s.oid = pg_catalog.pg_get_serial_sequence(%s, %s)::regclass",
        (where, column[2]),
    ).fetchone()
    if row is None or privilege not in _PRIVILEGES:
        return
    command = sql.SQL("GRANT {} ON SEQUENCE {} TO {}{}").format(
        _PRIVILEGES[privilege],
        sql.Identifier(*row),
        sql.Identifier(role) if role else sql.SQL("PUBLIC"),
        sql.SQL(" WITH GRANT OPTION" if may_grant else ""),
    )
    connection.execute(command)
