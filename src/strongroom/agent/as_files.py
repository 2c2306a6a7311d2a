"""All of a recovery point as files, in the layout of Azure's restore as files.

[prefix_]database_<name>.sql   each database, in pg_dump's own format (PGDMP)
[prefix_]roles.sql             without passwords, and without what a managed server refuses
[prefix_]tablespaces.sql       [prefix_]schema.sql
RESTORE.md                     what to do with them; SHA256SUMS and manifest.json beside it
"""

import shlex
from collections.abc import Callable

from strongroom.agent.dump_directory import DumpDirectory, file_name
from strongroom.agent.held_lease import HeldLease
from strongroom.model.operation import Progress
from strongroom.postgres.extract import ScratchServer
from strongroom.postgres.roles_file import cleaned
from strongroom.postgres.scratch_dump import dump_to_file

_GUIDE = """# Restore these files

PostgreSQL {version} wrote them, recovery point {point} of {taken_at}. Every command is run in this
directory, with PGHOST, PGPORT and PGUSER set to a server of major version {major} or newer.

1. Nothing has changed since they were written:

```
sha256sum -c SHA256SUMS
```

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


def dump_all(
    held: HeldLease,
    server: ScratchServer,
    dumps: DumpDirectory,
    prefix: str,
    watch: Callable[[int], None],
) -> None:
    """Every database that may be connected to, and what all of them share."""
    begin = f"{prefix}_" if prefix else ""
    commands = []
    for database in server.databases():
        held.tell(Progress(step="Dumping", note=database))
        name = file_name(f"{begin}database_{database}.sql")
        words = ["-Fc", "-Z1"]
        dumped = dump_to_file(server, database, "pg_dump", words, dumps.path / name, watch)
        dumps.add(dumped, f"database {database}")
        create = "" if database == "postgres" else "--create "
        commands.append(f"pg_restore --no-tablespaces {create}-d postgres {shlex.quote(name)}")
    names = {what: file_name(f"{begin}{what}.sql") for what in ("roles", "tablespaces", "schema")}
    for what, name in names.items():
        _globals(server, dumps, what, name, watch)
    _guide(server, dumps, names, commands)


def _globals(
    server: ScratchServer,
    dumps: DumpDirectory,
    what: str,
    name: str,
    watch: Callable[[int], None],
) -> None:
    raw = dumps.path / f".{name}"
    words = [f"--{what}-only", "--no-role-passwords"]
    dump_to_file(server, server.any_database(), "pg_dumpall", words, raw, watch)
    text = raw.read_text(errors="surrogateescape")
    raw.unlink()
    dumps.write(name, text if what == "tablespaces" else cleaned(text), what)


def _guide(
    server: ScratchServer, dumps: DumpDirectory, names: dict[str, str], commands: list[str]
) -> None:
    told = dumps.manifest
    version = f"{told.source_version // 10000}.{told.source_version % 10000}"
    text = _GUIDE.format(
        version=version,
        major=server.tools.major,
        point=told.recovery_point,
        taken_at=told.taken_at,
        commands="\n".join(commands),
        **{what: shlex.quote(name) for what, name in names.items()},
    )
    dumps.write("RESTORE.md", text, "what to do with these files")
