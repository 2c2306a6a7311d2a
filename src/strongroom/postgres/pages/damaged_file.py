"""Pages that are damaged on the server's disk: found by us, or by the server as it sends them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from strongroom.model.errors import Corrupt, VaultError

_MOST_NAMED = 100  # blocks of one file
# Of a warning in whatever language: the file, the block, the two checksums. How many there are in
# a file is told too, by one number alone.
_PLACE = re.compile(
    r"((?:base|global|pg_tblspc)/[^\s\"'«»„“”]+)\D*?(\d+)\b.*?\b[0-9A-F]{1,4}\b.*?\b[0-9A-F]{1,4}\b"
)


@dataclass(slots=True)
class DamagedFile:
    """Pages of one file that are not as PostgreSQL wrote them, wherever else the log may help."""

    path: str
    count: int = 0
    blocks: list[int] = field(default_factory=list)  # of the relation; the first hundred

    def add(self, block: int) -> None:
        """One more."""
        self.count += 1
        if len(self.blocks) < _MOST_NAMED:
            self.blocks.append(block)

    def warning(self) -> VaultError:
        """What a person is told."""
        blocks = sorted(self.blocks)
        shown = ", ".join(str(block) for block in blocks[:10])
        more = "" if self.count <= 10 else " and more"
        pages = "1 page is" if self.count == 1 else f"{self.count} pages are"
        return Corrupt(
            f"{pages} damaged on the server's disk in {self.path}: block {shown}{more}",
            hint="The backup holds them as they are. Test the disk, find the relation with "
            "pg_filenode_relation, and restore it from a point before the damage.",
            facts={
                "severity": "warning",
                "path": self.path,
                "blocks": blocks,
                "pages": self.count,
            },
        )


def told_by_server(warnings: Iterable[str]) -> list[VaultError]:
    """The server's words about pages that failed its check -> one warning a file.

    What cannot be understood is told as it was said.
    """
    files: dict[str, DamagedFile] = {}
    others: list[VaultError] = []
    for text in warnings:
        place = _PLACE.search(text)
        if place is not None:
            files.setdefault(place[1], DamagedFile(place[1])).add(int(place[2]))
        elif not files:
            others.append(Corrupt(f"the server says of its disk: {text[:300]}"))
    return [*(file.warning() for file in files.values()), *others]
