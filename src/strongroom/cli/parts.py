"""What a restore takes of a recovery point: all of it, all as files, one database, one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from strongroom.model.errors import Invalid
from strongroom.model.extract import read_extract

_EVERY_SERVER = 48 << 20  # raw bytes of the catalogues, the log and what is no relation, about


@dataclass(frozen=True, slots=True)
class Wish:
    """Where to, and what of it; `part` is what the API takes, None for a whole data directory."""

    directory: Path | None
    part: dict[str, Any] | None

    @property
    def server(self) -> str:
        """The server that is loaded; empty when files are left in a directory."""
        return str((self.part or {}).get("target_server", ""))

    def check(self, *, start: bool, mapping: Mapping[str, str]) -> None:
        """Raises Invalid when options do not go together, or the place is missing."""
        if self.directory is None and not self.server:
            raise Invalid(
                "there is no place to restore to",
                hint="Give --to-dir DIR, --to-server NAME, or --to-files DIR for all as dumps.",
            )
        if self.part is not None and (start or mapping):
            raise Invalid(
                "--start and --tablespace go with a whole data directory",
                hint="Leave them out, or leave out --database and --to-files.",
            )


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimates in bytes, and what to think of before."""

    read_bytes: int
    write_bytes: int
    warnings: list[str] = field(default_factory=list)


def read_wish(
    place: tuple[Path | None, Path | None, str],
    database: str,
    table: str,
    rename: str,
    prefix: str,
) -> Wish:
    """Options -> wish; `place` is (--to-dir, --to-files, --to-server). Raises Invalid."""
    to_dir, to_files, to_server = place
    if to_files is not None and (to_dir is not None or database):
        raise Invalid(
            "--to-files takes all databases, to a directory of its own",
            hint="For one database give --to-dir DIR --database NAME.",
        )
    if to_server and (to_files is not None or to_dir is not None):
        raise Invalid("give a server or a directory, not both", hint="Leave one of them out.")
    asked = read_extract(database, table, rename, prefix, to_server)
    if to_files is None and not database:
        return Wish(to_dir, None)
    return Wish(to_files or to_dir, msgspec.to_builtins(asked))


def cost_of(point: Mapping[str, Any], part: Mapping[str, Any] | None) -> Cost:
    """From the sizes that the point was committed with: what a part takes at most, about."""
    raw, stored = int(point["rawBytes"]), _stored(point)
    if part is None or not part["database"]:
        return Cost(stored, raw)
    databases: dict[str, int] = point["facts"].get("databases") or {}
    name = part["database"]
    if databases and name not in databases:
        told = f"the point was taken without a database {name!r}: {', '.join(sorted(databases))}"
        return Cost(stored, raw, [told])
    share = min(raw, databases.get(name, raw) + _EVERY_SERVER)
    return Cost(stored * share // max(raw, 1), share)


def _stored(point: Mapping[str, Any]) -> int:
    """Bytes of all packs that it needs: an increment added only some of them."""
    return int(point["facts"].get("restore_bytes", point["storedBytes"]))


def describe(part: Mapping[str, Any]) -> str:
    """For people."""
    if not part["database"]:
        return "all databases, roles and tablespaces, as files"
    found = f"database {part['database']}"
    if part["table"]:
        found = f"table {part['table']} of {found}"
    return f"{found}, as {part['rename']}" if part["rename"] else found


def part_of_request(part: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """As the API takes it: names in camel case."""
    if part is None:
        return None
    return {
        "database": part["database"],
        "table": part["table"],
        "rename": part["rename"],
        "filePrefix": part["file_prefix"],
        "targetServer": part["target_server"],
    }
