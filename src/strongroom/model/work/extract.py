"""The order to take a part out of a recovery point: one database, one table, or all as files."""

import msgspec

from strongroom.model.errors import Invalid
from strongroom.model.wal import Recovery

PUBLIC = "public"
_LONGEST_NAME = 63  # bytes
_LONGEST = 130  # two names, quoted


class ExtractOrder(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Recover a scratch server that holds just what is asked, and dump that.

    Dump files are left in `target_directory` or at `target_url` (model/restore/files_place.py), or
    the part is loaded into `target_server`, which this agent looks after. Without `database` all
    databases are dumped, each as a file, with roles, tablespaces and schema beside them.
    """

    job_id: str
    recovery_point_id: str
    instance_id: str
    manifest_name: str  # p/<recovery point id>.manifest
    database: str = ""
    table: str = ""  # schema.table, or a table of "public"
    rename: str = ""  # the database's new name, or the table's (schema.table, or table)
    target_directory: str = ""
    target_url: str = ""  # a container, whose SAS comes with the lease as "files", or a bucket
    target_endpoint: str = ""  # of the bucket
    target_server: str = ""  # the agent's own name of it
    file_prefix: str = ""
    recovery: Recovery | None = None  # where to, beyond the point's own end


class ExtractRequest(msgspec.Struct, kw_only=True):
    """What is asked of a point; fields as in ExtractOrder."""

    database: str = ""
    table: str = ""
    rename: str = ""
    file_prefix: str = ""
    target_server: str = ""
    target_url: str = ""
    target_endpoint: str = ""

    @property
    def is_streamed(self) -> bool:
        """Whether of a logical point it goes out as it is read: no disk is in between."""
        return bool(self.target_url) and not self.table


def read_extract(
    database: str, table: str, rename: str, file_prefix: str, target_server: str = ""
) -> ExtractRequest:
    """Checked at the door. Raises Invalid."""
    for name in (database, rename, file_prefix):
        if len(name) > _LONGEST or any(ord(letter) < 32 for letter in name):
            raise Invalid(f"{name[:80]!r} is not a name", hint="Write it as PostgreSQL shows it.")
    for name in (database, "" if table else rename):
        if len(name.encode()) > _LONGEST_NAME:
            raise Invalid(
                f"{name[:80]!r} is longer than PostgreSQL's names are",
                hint=f"It has {len(name.encode())} bytes; {_LONGEST_NAME} is the most.",
            )
    if (table or rename) and not database:
        raise Invalid("a table or a new name needs its database", hint="Add --database NAME.")
    if "/" in file_prefix:
        raise Invalid("a file prefix holds no slash", hint="Name the directory with --to-files.")
    if target_server and not database:
        raise Invalid(
            "a server is loaded with one database, or one of its tables",
            hint="Add --database NAME.",
        )
    if table:
        read_table(table)
        if rename:
            read_table(rename)
    return ExtractRequest(
        database=database,
        table=table,
        rename=rename,
        file_prefix=file_prefix,
        target_server=target_server,
    )


class TableName(msgspec.Struct, kw_only=True, frozen=True):
    """A table of a schema, as the catalogue spells both."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def read_table(text: str) -> TableName:
    """`schema.table` or `table`; names with dots or capitals in double quotes. Raises Invalid."""
    parts = list(_parts(text))
    if (
        not 1 <= len(parts) <= 2
        or not all(parts)
        or any(len(p.encode()) > _LONGEST_NAME for p in parts)
    ):
        raise Invalid(
            f"{text[:130]!r} is not the name of a table",
            hint='Write schema.table, and names with dots in double quotes: "my.schema".table.',
        )
    return TableName(schema=parts[0] if len(parts) == 2 else PUBLIC, name=parts[-1])


def _parts(text: str) -> list[str]:
    """Split at dots outside of double quotes; a doubled quote inside of them is one."""
    parts, quoted, index = [""], False, 0
    while index < len(text):
        letter = text[index]
        if letter == '"' and quoted and text[index + 1 : index + 2] == '"':
            parts[-1] += '"'
            index += 1
        elif letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
        index += 1
    return [] if quoted else parts
