"""A restore as its options ask for it, and as the API takes it."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.parts import Wish, part_of_request
from strongroom.cli.vault import Vault
from strongroom.model.errors import Invalid

PointId = Annotated[
    str, Parameter(help="The recovery point, or the beginning of its id. Default: the newest.")
]
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
Rename = Annotated[str, Parameter(help="The new name of the database, or of the table.")]
ToFiles = Annotated[
    Path | None,
    Parameter(help="A new or empty directory for dumps of all databases, roles and tablespaces."),
]
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
) -> dict[str, Any]:
    """ARM's restore request; our own wishes stand under `strongroom`."""
    source = vault.source(name)
    directory = "" if wish.directory is None else str(wish.directory.absolute())
    return {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "sourceDataStoreType": "VaultStore",
        "sourceResourceId": source["resourceID"],
        "recoveryPointId": point,
        "restoreTargetInfo": {
            "objectType": "RestoreTargetInfo",
            "recoveryOption": "FailIfExists",
            "restoreLocation": vault.connection.location,
            "datasourceInfo": {
                **source,
                "resourceProperties": {"objectType": "DefaultResourceProperties"},
            },
            "strongroom": {
                "targetDirectory": directory,
                "tablespaces": mapping,
                "start": start,
                "port": port,
                "part": part_of_request(wish.part),
                "inPlace": wish.in_place,
            },
        },
        "identityDetails": {"useSystemAssignedIdentity": True},
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
