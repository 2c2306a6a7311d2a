"""New names for a table, for its children, and for all of theirs that has a name in a schema.

In a scratch server, before it is dumped: the dump then speaks of new names alone, and none of them
meets an original, for those stand in the server that it is loaded into.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from strongroom.model.work.extract import TableName

Connection = psycopg.Connection[tuple[object, ...]]
_LONGEST = 63  # bytes of a name
_COMPANIONS = """
with asked as (select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n
on n.oid = relnamespace where nspname = %(schema)s and relname = %(name)s)
select relname, 'index', nspname from pg_catalog.pg_index
join pg_catalog.pg_class i on i.oid = indexrelid
join pg_catalog.pg_namespace n on n.oid = relnamespace
where indrelid = (table asked)
union all
select relname, 'sequence', nspname from pg_catalog.pg_depend
join pg_catalog.pg_class s on s.oid = objid and relkind = 'S'
join pg_catalog.pg_namespace n on n.oid = relnamespace
where refobjid = (table asked) and deptype in ('a', 'i')
and classid = 'pg_catalog.pg_class'::regclass and refclassid = 'pg_catalog.pg_class'::regclass
union all
select stxname, 'statistics', nspname from pg_catalog.pg_statistic_ext
join pg_catalog.pg_namespace n on n.oid = stxnamespace
where stxrelid = (table asked)
order by 1
"""
_PARENTS = """
select n.nspname, p.relname, p.relkind = 'p' from pg_catalog.pg_inherits
join pg_catalog.pg_class p on p.oid = inhparent
join pg_catalog.pg_namespace n on n.oid = p.relnamespace
join pg_catalog.pg_class c on c.oid = inhrelid
join pg_catalog.pg_namespace s on s.oid = c.relnamespace
where s.nspname = %(schema)s and c.relname = %(name)s
"""
_IN_THE_WAY = """
select 'table' from pg_catalog.pg_class join pg_catalog.pg_namespace n on n.oid = relnamespace
where nspname = %(schema)s and relname = %(name)s and %(kind)s <> 'statistics'
union all
select 'statistics' from pg_catalog.pg_statistic_ext
join pg_catalog.pg_namespace n on n.oid = stxnamespace
where nspname = %(schema)s and stxname = %(name)s and %(kind)s = 'statistics'
"""


@dataclass(frozen=True, slots=True)
class Named:
    """kind: table | index | sequence | statistics."""

    kind: str
    schema: str
    name: str


def companions(connection: Connection, table: TableName) -> list[Named]:
    """What belongs to one table, by name."""
    asked = {"schema": table.schema, "name": table.name}
    found = connection.execute(_COMPANIONS, asked).fetchall()
    return [Named(str(kind), str(schema), str(name)) for name, kind, schema in found]


def parents_of(connection: Connection, table: TableName) -> list[tuple[TableName, bool]]:
    """What it is a part of or inherits from, and whether it is a partition of that."""
    asked = {"schema": table.schema, "name": table.name}
    return [
        (TableName(schema=str(schema), name=str(name)), bool(parted))
        for schema, name, parted in connection.execute(_PARENTS, asked).fetchall()
    ]


def rename_tables(
    connection: Connection, tables: Sequence[TableName], new: TableName
) -> list[TableName]:
    """The first gets the new name, its children names made of it; all go to the new schema.

    Returns the new names in the same order. What has one of them already gets another. None of
    them stays a part or a child of a table that is none of them: its rows would be there twice.
    """
    renames = _Renames(connection, tables[0].name, new)
    with connection.transaction():
        words = sql.SQL("create schema if not exists {}").format(sql.Identifier(new.schema))
        connection.execute(words)
        for each in tables:
            renames.set_free(each, frozenset(tables))
        groups = [[_table(each), *companions(connection, each)] for each in tables]
        aside = [[renames.set_aside(each) for each in group] for group in groups]
        renames.move(aside)
        return [renames.settle(*pair) for pair in zip(aside, groups, strict=True)]


def _table(name: TableName) -> Named:
    return Named("table", name.schema, name.name)


@dataclass(slots=True)
class _Renames:
    """Under names that nobody has all of it changes schemas, then each gets its own."""

    connection: Connection
    old: str
    new: TableName
    number: int = 0
    taken: set[str] = field(default_factory=set)

    def set_free(self, table: TableName, others: frozenset[TableName]) -> None:
        for parent, parted in parents_of(self.connection, table):
            if parent in others:
                continue
            words, pair = "alter table {}.{} no inherit {}.{}", (table, parent)
            if parted:
                words, pair = "alter table {}.{} detach partition {}.{}", (parent, table)
            parts = [sql.Identifier(part) for each in pair for part in (each.schema, each.name)]
            self.connection.execute(sql.SQL(words).format(*parts))

    def set_aside(self, what: Named) -> Named:
        self.number += 1
        there = Named(what.kind, what.schema, f"strongroom_renaming_{self.number}")
        self._run(what, "rename to", there.name)
        return there

    def move(self, groups: Iterable[Sequence[Named]]) -> None:
        """Indexes, and sequences of theirs, go along with tables."""
        for what in (each for group in groups for each in group):
            if what.schema != self.new.schema and what.kind in {"table", "statistics"}:
                self._run(what, "set schema", self.new.schema)

    def settle(self, aside: Sequence[Named], before: Sequence[Named]) -> TableName:
        """One table, which comes first, and what belongs to it."""
        names = [self._new_name(each.name) for each in before]
        for what, name in zip(aside, names, strict=True):
            asked = {"schema": self.new.schema, "name": name, "kind": what.kind}
            for (kind,) in self.connection.execute(_IN_THE_WAY, asked).fetchall():
                self.set_aside(Named(str(kind), self.new.schema, name))
            self._run(Named(what.kind, self.new.schema, what.name), "rename to", name)
        return TableName(schema=self.new.schema, name=names[0])

    def _new_name(self, name: str) -> str:
        if self.new.name != self.old:
            rest = name.removeprefix(self.old) if name.startswith(self.old) else f"_{name}"
            name = f"{self.new.name}{rest}"
        found, number = _cut(name, _LONGEST), 1
        while found in self.taken:
            number += 1
            end = f"_{number}"
            found = _cut(name, _LONGEST - len(end)) + end
        self.taken.add(found)
        return found

    def _run(self, what: Named, change: str, name: str) -> None:
        # Words of this module alone, and names that are quoted.
        words = sql.SQL(f"alter {what.kind} {{}}.{{}} {change} {{}}")
        parts = map(sql.Identifier, (what.schema, what.name, name))
        self.connection.execute(words.format(*parts))


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")
