"""What a restore takes of a recovery point: all of it, all as files, one database, one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from strongroom.cli.restore.files_option import Files
from strongroom.model.errors import Invalid
from strongroom.model.work.extract import read_extract


@dataclass(frozen=True, slots=True)
class Wish:
    """Where to, and what of it; `part` is what the API takes, None for a whole data directory."""

    directory: Path | None
    part: dict[str, Any] | None
    in_place: bool = False
    files: Files | None = None  # when they go to a container or a bucket

    @property
    def server(self) -> str:
        """The server that is loaded; empty when files are left in a directory."""
        return str((self.part or {}).get("target_server", ""))

    def check(self, *, start: bool, mapping: Mapping[str, str]) -> None:
        """Raises Invalid when options do not go together, or the place is missing."""
        elsewhere = self.server or self.in_place or self.files is not None
        if self.directory is None and not elsewhere:
            raise Invalid(
                "there is no place to restore to",
                hint="Give --to-dir DIR, --to-server NAME, or --to-files PLACE for all as dumps.",
            )
        if self.part is not None and (start or mapping):
            raise Invalid(
                "--start and --tablespace go with a whole data directory",
                hint="Leave them out, or leave out --database and --to-files.",
            )


def read_wish(
    place: tuple[Path | None, Files, str],
    database: str,
    table: str,
    rename: str,
    *,
    in_place: bool = False,
) -> Wish:
    """Options -> wish; `place` is (--to-dir, --to-files, --to-server). Raises Invalid."""
    to_dir, files, to_server = place
    if len([given for given in (to_dir, files.to_files, to_server) if given]) > 1:
        raise Invalid("give one place to restore to", hint="Leave the others out.")
    if in_place and (files.to_files or to_server or database):
        raise Invalid(
            "all of a server is restored in place, and nothing less",
            hint="Leave out --in-place, or --database, --to-files and --to-server.",
        )
    asked = read_extract(database, table, rename, files.prefix, to_server)
    if not files.to_files and not database:
        return Wish(to_dir, None, in_place)
    part = msgspec.to_builtins(asked)
    if files.url:
        return Wish(None, part, files=files)
    return Wish(files.directory or to_dir, part)


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
