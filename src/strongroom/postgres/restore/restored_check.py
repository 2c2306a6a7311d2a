"""Whether what was restored is what PostgreSQL sent, file by file and segment by segment."""

import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import Lsn, Timeline, lsn_from_text
from strongroom.postgres.log.walstream import segment_name
from strongroom.postgres.restore.layout import HOLDS_BYTES, UNWANTED, Layout
from strongroom.postgres.wire.pg_manifest import PgManifest

_SEGMENT = re.compile(r"pg_wal/[0-9A-F]{24}")
_READERS = 2
_TOGETHER = 64  # files: a sum that is known already takes less than to ask a thread for it
_HINT = "Restore another recovery point, and verify this one."


def compare(
    layout: Layout,
    told: PgManifest,
    read: Callable[[int], tuple[int, int]],
    only: Collection[int] | None = None,
) -> None:
    """Raises Corrupt naming the first file that is missing, extra or different.

    `read(index)` gives (size, CRC32C) of a file as it lies there now; two are read at once. Of
    files that are not in `only`, when that is given, nothing but their presence counts.
    """
    wanted = [
        index
        for index, file in enumerate(layout.files)
        if file.path in told.files and file.path not in UNWANTED
        if only is None or index in only
    ]

    def read_all(together: list[int]) -> dict[int, tuple[int, int]]:
        return {index: read(index) for index in together}

    with ThreadPoolExecutor(_READERS, "sum") as pool:
        sums: dict[int, Future[dict[int, tuple[int, int]]]] = {}
        for at in range(0, len(wanted), _TOGETHER):
            together = wanted[at : at + _TOGETHER]
            sums |= dict.fromkeys(together, pool.submit(read_all, together))
        try:
            for path in differing(layout, told, lambda index: sums[index].result()[index], only):
                raise Corrupt(
                    f"{path} is not as PostgreSQL's own manifest says",
                    hint=_HINT,
                    facts={"path": path},
                )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def differing(
    layout: Layout,
    told: PgManifest,
    read: Callable[[int], tuple[int, int]],
    only: Collection[int] | None = None,
) -> Iterator[str]:
    """The path of each such file."""
    by_path = {file.path: index for index, file in enumerate(layout.files)}
    for pg_file in told.files.values():
        if pg_file.path in UNWANTED:
            continue
        index = by_path.get(pg_file.path)
        if index is not None and only is not None and index not in only:
            continue
        size, crc = (-1, 0) if index is None else read(index)
        if size != pg_file.size or (pg_file.crc32c is not None and crc != pg_file.crc32c):
            yield pg_file.path
    for file in layout.files:
        listed = file.path in told.files or file.path.startswith("pg_wal/")
        if file.kind in HOLDS_BYTES and not listed and file.path not in UNWANTED:
            yield file.path


def check_log(layout: Layout, told: PgManifest) -> None:
    """Raises Corrupt naming the first segment that recovery needs and that is not there."""
    segments = {file.path: file.size for file in layout.files if _SEGMENT.fullmatch(file.path)}
    size = next(iter(segments.values()), 0)
    for timeline, start, end in told.wal_ranges:
        if not size:
            raise _no_segment(f"from {start} to {end}")
        first = lsn_from_text(start) // size
        last = max(first, (lsn_from_text(end) - 1) // size)
        for number in range(first, last + 1):
            name = segment_name(Timeline(timeline), Lsn(number * size), size)
            if segments.get(f"pg_wal/{name}") != size:
                raise _no_segment(name)


def _no_segment(name: str) -> Corrupt:
    return Corrupt(f"the recovery point lacks write-ahead log: {name}", hint=_HINT)
