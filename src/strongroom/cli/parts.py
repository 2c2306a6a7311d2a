"""What a restore takes of a recovery point: all of it, all as files, one database, one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from strongroom.model.errors import Invalid
from strongroom.model.extract import read_extract


@dataclass(frozen=True, slots=True)
class Wish:
    """Where to, and what of it; `part` is what the API takes, None for a whole data directory."""

    directory: Path | None
    part: dict[str, Any] | None
    in_place: bool = False

    @property
    def server(self) -> str:
        """The server that is loaded; empty when files are left in a directory."""
        return str((self.part or {}).get("target_server", ""))

    def check(self, *, start: bool, mapping: Mapping[str, str]) -> None:
        """Raises Invalid when options do not go together, or the place is missing."""
        if self.directory is None and not self.server and not self.in_place:
            raise Invalid(
                "there is no place to restore to",
                hint="Give --to-dir DIR, --to-server NAME, or --to-files DIR for all as dumps.",
            )
        if self.part is not None and (start or mapping):
            raise Invalid(
                "--start and --tablespace go with a whole data directory",
                hint="Leave them out, or leave out --database and --to-files.",
            )


def read_wish(
    place: tuple[Path | None, Path | None, str],
    database: str,
    table: str,
    rename: str,
    prefix: str,
    *,
    in_place: bool = False,
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
    if in_place and (to_files is not None or to_server or database):
        raise Invalid(
            "all of a server is restored in place, and nothing less",
            hint="Leave out --in-place, or --database, --to-files and --to-server.",
        )
    asked = read_extract(database, table, rename, prefix, to_server)
    if to_files is None and not database:
        return Wish(to_dir, None, in_place)
    return Wish(to_files or to_dir, msgspec.to_builtins(asked))


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
