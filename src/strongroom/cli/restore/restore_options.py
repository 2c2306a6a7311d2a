"""A restore as its options ask for it, and as the API takes it."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis.vault import Vault
from strongroom.cli.restore.files_option import Files
from strongroom.cli.restore.parts import Wish, part_of_request
from strongroom.model.errors import Invalid

Yes = Annotated[bool, Parameter(negative="", help="Do not ask.")]
Directory = Annotated[
    Path | None, Parameter(help="A new or empty directory on the host of the server's agent.")
]
Database = Annotated[
    str, Parameter(help="Only this database, as a dump file: what is fetched is little more.")
]
Table = Annotated[
    str, Parameter(help="Only this table of --database (schema.table), with its parts.")
]
ToServer = Annotated[
    str, Parameter(help="Load the part into this server, which the same agent looks after.")
]
InPlace = Annotated[
    bool,
    Parameter(
        negative="",
        help="Over the server's own data directory (or --to-dir): rewrite what differs.",
    ),
]
Start = Annotated[bool, Parameter(negative="", help="Start PostgreSQL there when it is written.")]
Port = Annotated[
    int,
    Parameter(
        help="Port for --start; 0: as its configuration says, or a free one where that is taken."
    ),
]
Rename = Annotated[str, Parameter(help="The new name of the database, or of the table.")]
Tablespaces = Annotated[
    list[str] | None,
    Parameter(negative="", help="OLD=NEW: where a tablespace goes; once for each."),
]


def request_of(  # noqa: PLR0913 - one for each thing that is asked
    vault: Vault,
    name: str,
    point: str,
    wish: Wish,
    mapping: dict[str, str],
    *,
    start: bool = False,
    port: int = 0,
    plan: bool = False,
) -> dict[str, Any]:
    """ARM's restore request; our own wishes stand under `strongroom`. A plan needs no secret."""
    source = vault.source(name)
    directory = "" if wish.directory is None else str(wish.directory.absolute())
    ours = {
        "targetDirectory": directory,
        "tablespaces": mapping,
        "start": start,
        "port": port,
        "part": part_of_request(wish.part),
        "inPlace": wish.in_place,
    }
    target = {
        "objectType": "RestoreTargetInfo",
        "datasourceInfo": {
            **source,
            "resourceProperties": {"objectType": "DefaultResourceProperties"},
        },
        "strongroom": ours,
    }
    if wish.files is not None:
        target = _as_files(wish.files, ours, plan=plan)
    return {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "sourceDataStoreType": "VaultStore",
        "recoveryPointId": point,
        "restoreTargetInfo": {
            **target,
            "recoveryOption": "FailIfExists",
            "restoreLocation": vault.connection.location,
        },
        "identityDetails": {"useSystemAssignedIdentity": True},
    }


def _as_files(files: Files, ours: dict[str, Any], *, plan: bool) -> dict[str, Any]:
    return {
        "objectType": "RestoreFilesTargetInfo",
        "targetDetails": {
            "url": files.url if plan else files.signed_url(),
            "filePrefix": files.prefix,
            "restoreTargetLocationType": "AzureBlobs",
        },
        "strongroom": {"part": ours["part"], "endpoint": files.s3_endpoint},
    }


def mapping_of(words: list[str] | None) -> dict[str, str]:
    """--tablespace OLD=NEW, once for each -> old location -> new. Raises Invalid."""
    mapping: dict[str, str] = {}
    for word in words or []:
        old, equals, new = word.partition("=")
        if not equals or not old.startswith("/") or not new.startswith("/"):
            raise Invalid(
                f"{word[:120]!r} does not say where a tablespace goes",
                hint="Write --tablespace /old/place=/new/place.",
            )
        mapping[old] = new
    return mapping
