"""All of a recovery point as files, in the layout of Azure's restore as files.

[prefix_]database_<name>.sql   each database, in pg_dump's own format (PGDMP)
[prefix_]roles.sql             without passwords, and without what a managed server refuses
[prefix_]tablespaces.sql       [prefix_]schema.sql
[prefix_]RESTORE.md            what to do with them; SHA256SUMS and manifest.json beside it
"""

import shlex
from collections.abc import Sequence

from strongroom.agent.files.dump_files import DumpFiles
from strongroom.agent.files.targets import Sink
from strongroom.agent.held_lease import HeldLease
from strongroom.model.postgres import major_of
from strongroom.model.restore.dump_names import (
    GLOBALS,
    GUIDE,
    MANIFEST,
    SUMS,
    database_file,
    globals_file,
)
from strongroom.model.work.extract import TableName
from strongroom.model.work.operation import Progress
from strongroom.postgres.dump.roles_file import Cleaning
from strongroom.postgres.part.scratch_dump import dump_to
from strongroom.postgres.part.scratch_server import MONEY_LOCALE, ScratchServer

_HEAD = """# Restore these files

PostgreSQL {version} wrote them, recovery point {point} of {taken_at}. Have all of them in one
directory, `{manifest}` names them. Every command is run in there, with PGHOST, PGPORT and PGUSER
set to a server of major version {major} or newer.

Amounts of type `money` are written as the locale `{money}` has them. Where the server's
`lc_monetary` is another one and there are any, run everything with
`PGOPTIONS='-c lc_monetary={money}'`: without it they are refused, or read as other amounts.

1. Nothing has changed since they were written:

```
sha256sum -c {sums}
```
"""
_ALL = """
2. Roles. They have no passwords; that a role is there already is no harm.

```
psql -X -d postgres -f {roles}
```

3. Tablespaces, where you want them: read `{tablespaces}`, make its directories, run it like the
roles, and leave out `--no-tablespaces` below.

4. The databases. Each one but `postgres` is created.

```
{commands}
```

`{schema}` shows the definitions of everything as plain SQL, for reading; nothing here needs it.
"""
_DATABASE = """
2. The database is created. Where the server has its roles, leave out `--no-owner --no-privileges`.

```
{commands}
```
"""
_TABLE = """
2. The table, into the database that PGDATABASE names: it must not be there yet, its schema must.
Where the server has its roles, leave out `--no-owner --no-privileges`.

```
{commands}
```
{parents}"""
_PARTITION = """
It is a partition of {parent}. Where that is not there the last command of the dump, which attaches
it, is refused, and pg_restore says so: the table and its rows are there all the same.
"""
_HEIR = """
It inherits from {parent}, which must be there first.
"""


def dump_all(held: HeldLease, server: ScratchServer, files: DumpFiles) -> None:
    """Every database that may be connected to, and what all of them share."""
    databases = server.databases()
    files.check_free([*(database_file(each) for each in databases), *map(globals_file, GLOBALS)])
    for database in databases:
        held.tell(Progress(step="Dumping", note=database))
        dump_database(
            held, server, database, (database_file(database), f"database {database}"), files
        )
    # Names that pg_dumpall refuses to hand to pg_dump; their own files have all of them.
    unfit = [f'--exclude-database="{_doubled(name)}"' for name in databases if {*name} & {*"\r\n"}]
    for what in GLOBALS:
        _dump_globals(held, server, (what, unfit if what == "schema" else []), files)
    write_guide(files, databases, MONEY_LOCALE)


def _doubled(name: str) -> str:
    return name.replace('"', '""')


def dump_database(
    held: HeldLease,
    server: ScratchServer,
    database: str,
    what: tuple[str, str],
    files: DumpFiles,
    words: Sequence[str] = (),
) -> None:
    """One, or the part of it that `words` choose; `what`: its file, and what that holds."""

    def fill(sink: Sink) -> None:
        def write(piece: bytes) -> None:
            held.check()
            sink(piece)

        dump_to(server, database, "pg_dump", ["-Fc", "-Z1", *words], write)

    files.put(*what, fill)


def _dump_globals(
    held: HeldLease, server: ScratchServer, what: tuple[str, list[str]], files: DumpFiles
) -> None:
    name, words = what[0], [f"--{what[0]}-only", "--no-role-passwords", *what[1]]

    def fill(sink: Sink) -> None:
        cleaning = Cleaning(sink)

        def write(piece: bytes) -> None:
            held.check()
            cleaning.feed(piece)

        dump_to(server, server.any_database(), "pg_dumpall", words, write)
        cleaning.end()

    files.put(globals_file(name), name, fill)


def write_guide(files: DumpFiles, databases: Sequence[str], money: str) -> None:
    """RESTORE.md for all of a point; `money`: the locale of its amounts."""
    commands = []
    for database in databases:
        create = "" if database == "postgres" else "--create "
        name = _word(files.name(database_file(database)))
        commands.append(f"pg_restore --no-tablespaces {create}-d postgres {name}")
    names = {what: _word(files.name(globals_file(what))) for what in GLOBALS}
    _write(files, _ALL.format(commands="\n".join(commands), **names), money)


def write_guide_of_database(files: DumpFiles, what: str, money: str, create: str = "") -> None:
    """RESTORE.md for one; `money`: the locale of its amounts.

    create: the name it is made under, where the dump has another one.
    """
    words = "pg_restore --no-tablespaces --no-owner --no-privileges"
    name = _word(files.name(what))
    commands = f"{words} --create -d postgres {name}"
    if create:
        new = shlex.quote(create)
        commands = f"createdb -T template0 -- {new}\n{words} -d {new} {name}"
    _write(files, _DATABASE.format(commands=commands), money)


def write_guide_of_table(
    files: DumpFiles, what: str, parents: Sequence[tuple[TableName, bool]]
) -> None:
    """RESTORE.md for one; `parents`: and whether it is a partition of each."""
    words = 'pg_restore --no-tablespaces --no-owner --no-privileges -d "$PGDATABASE"'
    told = [(_PARTITION if parted else _HEIR).format(parent=f"`{at}`") for at, parted in parents]
    commands = f"{words} {_word(files.name(what))}"
    _write(files, _TABLE.format(commands=commands, parents="".join(told)), MONEY_LOCALE)


def _word(name: str) -> str:
    """A file's name in a command line, where a dash at its beginning makes no option of it."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _write(files: DumpFiles, text: str, money: str) -> None:
    told = files.manifest
    head = _HEAD.format(
        version=f"{told.source_version // 10000}.{told.source_version % 10000}",
        major=major_of(told.source_version),
        point=told.recovery_point,
        taken_at=told.taken_at,
        money=money,
        manifest=files.name(MANIFEST),
        sums=shlex.quote(files.name(SUMS)),
    )
    files.write(GUIDE, head + text, "what to do with these files")
