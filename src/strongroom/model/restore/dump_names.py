"""What the files of a restore as files are called; docs/azure-compatibility.md, Azure's layout.

[prefix_]database_<name>.sql, [prefix_]roles.sql, tablespaces.sql and schema.sql; beside them
RESTORE.md, SHA256SUMS and manifest.json. Of one database alone [prefix_]<name>.dump.
"""

from collections.abc import Iterable
from urllib.parse import quote

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
GUIDE = "RESTORE.md"
GLOBALS = ("roles", "tablespaces", "schema")


def database_file(database: str) -> str:
    """Its name after the prefix."""
    return f"database_{database}.sql"


def globals_file(what: str) -> str:
    """The same of roles, tablespaces and schema."""
    return f"{what}.sql"


def whole_name(prefix: str, what: str) -> str:
    """With the prefix; what no path may hold is percent-encoded."""
    return quote(f"{prefix}_{what}" if prefix else what, safe=" ()+,-.@_~")


def names_of_all(prefix: str, databases: Iterable[str]) -> list[str]:
    """All files of a whole point."""
    own = [*map(database_file, databases), *map(globals_file, GLOBALS)]
    return [whole_name(prefix, what) for what in (*_BESIDE, *own)]


def names_of_part(prefix: str, database: str, table: str) -> list[str]:
    """Those of a database, or of a table: the file of its rows is known to who dumps it."""
    own = [] if table else [f"{database}.dump"]
    return [whole_name(prefix, what) for what in (*_BESIDE, *own)]


_BESIDE = (MANIFEST, SUMS, GUIDE)
