"""What a server holds, to be compared with what another one holds; and whether it is sound."""

import difflib
import pprint
import re
import subprocess
from typing import Any

from integration.servers import DIGEST, Server

Digests = dict[str, dict[str, Any]]
# The source's pg_dump leaves out what is the default of its own major: until 14 everybody may
# create in "public", and it belongs to the bootstrap superuser.
_OF_PUBLIC = re.compile(r"(SCHEMA )?public; Type: (SCHEMA|ACL)").match


def same(found: Any, wanted: Any) -> None:
    """Or say where they differ: lines of text, or digests by name."""
    lines = [
        told if isinstance(told, list) else pprint.pformat(told, width=200).splitlines()
        for told in (wanted, found)
    ]
    assert found == wanted, "\n".join(difflib.unified_diff(*lines, "wanted", "found", lineterm=""))


def digests_of(server: Server) -> Digests:
    """Of every database: rows of tables, large objects, where sequences stand.

    Not of unlogged tables, which are empty after every recovery.
    """
    names = server.sql("select datname from pg_database where datallowconn and not datistemplate")
    return {name: digests_of_database(server, name) for (name,) in names}


def digests_of_database(server: Server, name: str, *, unlogged: bool = False) -> dict[str, Any]:
    tables = server.sql(
        "select format('%%I.%%I', nspname, relname) from pg_class c join pg_namespace n "
        "on n.oid = relnamespace where relkind in ('r', 'p', 'm') and relpersistence = any(%s) "
        "and nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 1"
        % ("'{p,u}'" if unlogged else "'{p}'"),
        database=name,
    )
    found: dict[str, Any] = {
        table: server.sql(DIGEST.format(table), database=name) for (table,) in tables
    }
    found["large objects"] = server.sql(
        "select count(*), md5(string_agg(md5(data), '' order by loid, pageno)) "
        "from pg_largeobject", database=name)  # fmt: skip
    found["sequences"] = server.sql(
        "select schemaname, sequencename, last_value from pg_sequences order by 1, 2",
        database=name,
    )
    return found


def schema_of(by: Server, server: Server, database: str) -> list[str]:
    """What the newer pg_dump says of a database, less what it says of the servers."""
    program = by.tools.program("pg_dump")
    place = ["-h", server.home, "-p", str(server.port), "-U", "postgres"]
    name = "dbname='{}'".format(database.replace("\\", "\\\\").replace("'", "\\'"))
    done = subprocess.run(
        [program, *place, "--schema-only", "--no-tablespaces", "-d", name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    entries = done.stdout.split("\n--\n-- Name: ")[1:]
    return [entry.partition("\n\\unrestrict")[0] for entry in entries if not _OF_PUBLIC(entry)]


def check_sound(clone: Server) -> None:
    """Every heap and every index, by PostgreSQL's own checker."""
    program = clone.tools.program("pg_amcheck")
    place = ["-h", clone.home, "-p", str(clone.port), "-U", "postgres"]
    done = subprocess.run(
        [program, *place, "--install-missing", "--heapallindexed", "--all"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
