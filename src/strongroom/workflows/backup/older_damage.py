"""Pages that an earlier point read damaged, and that an increment has taken over from it.

A server that sends only what has changed checks only that: it says no more of a page which it has
named once. The point is no better for it.
"""

from collections.abc import Callable, Iterable

import msgspec
import sqlalchemy as sa

from strongroom.catalog.points import recovery_points
from strongroom.datastore.maps.extents import Extent, Extents
from strongroom.datastore.maps.manifest import Manifest
from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE
from strongroom.model.work.operation import BackupResult
from strongroom.workflows.backup.strangeness import damaged_pages
from strongroom.workflows.basis.means import Means

_PAGES_OF_SEGMENT = (1 << 30) // PAGE
_SHOWN = 10

# The manifests of a new point and of its parent.
Both = Callable[[], tuple[Manifest, Manifest]]


def with_older_damage(
    means: Means,
    operation: sa.RowMapping | None,
    result: BackupResult,
    both: Both,
) -> BackupResult:
    """The same result, with a warning for each file of which a damaged page is the parent's.

    `both` is asked only where the parent has any.
    """
    parent = (operation["order"].get("parent") or {}) if operation else {}
    if not parent:
        return result
    with means.control.database.reading() as connection:
        facts = recovery_points.facts_of(connection, parent["recoveryPointId"])
    known = facts.get("damaged_pages") or {}
    told = damaged_pages(result)
    older = {path: blocks for path, blocks in known.items() if path not in told}
    if not older:
        return result
    found = taken_over(older, *both())
    warnings = [*result.warnings, *(_warning(*each).to_dict() for each in found.items())]
    return msgspec.structs.replace(result, warnings=warnings)


def taken_over(
    damaged: dict[str, list[int]], manifest: Manifest, parent: Manifest
) -> dict[str, list[int]]:
    """Of blocks of relations (by the path of a file), those whose bytes are the parent's."""
    found: dict[str, list[int]] = {}
    for path, blocks in damaged.items():
        new, old = _extents(manifest, path), _extents(parent, path)
        first = _segment(path) * _PAGES_OF_SEGMENT
        same = [block for block in blocks if _is_same((block - first) * PAGE, new, old)]
        if same:
            found[path] = same
    return found


def _segment(path: str) -> int:
    _, dot, number = path.rpartition("/")[2].partition(".")
    return int(number) if dot else 0


def _extents(manifest: Manifest, path: str) -> list[tuple[Extent, bytes]]:
    """Of a file, each with the id of its pack; none of a file that is not there."""
    rows = Extents.of_columns(manifest.extents)
    index = next((n for n, file in enumerate(manifest.files) if file.path == path), None)
    return [(row, manifest.packs[row.pack].id) for row in rows.of_file(index)]


def _is_same(
    offset: int, new: Iterable[tuple[Extent, bytes]], old: Iterable[tuple[Extent, bytes]]
) -> bool:
    place = _place(offset, new)
    return place is not None and place == _place(offset, old)


def _place(offset: int, extents: Iterable[tuple[Extent, bytes]]) -> tuple[bytes, int] | None:
    """Where a byte of a file lies: in which pack, at which byte of its raw stream."""
    for row, pack in extents:
        if row.offset <= offset < row.end:
            return pack, row.raw + offset - row.offset
    return None


def _warning(path: str, blocks: list[int]) -> Corrupt:
    shown = ", ".join(str(block) for block in blocks[:_SHOWN])
    more = "" if len(blocks) <= _SHOWN else " and more"
    pages = "1 page was" if len(blocks) == 1 else f"{len(blocks)} pages were"
    return Corrupt(
        f"{pages} damaged on the server's disk in {path} when an earlier point read them, and "
        f"have not been written since: block {shown}{more}",
        hint="This point holds them as they were. Test the disk, find the relation with "
        "pg_filenode_relation, and restore it from a point before the damage.",
        facts={"severity": "warning", "path": path, "blocks": blocks, "pages": len(blocks)},
    )
