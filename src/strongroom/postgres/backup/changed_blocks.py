"""What has changed since a parent, by the WAL summaries that lie in the data directory.

The server itself decides so when it sends an increment, and here it is decided as there
(PostgreSQL src/backend/backup/basebackup_incremental.c): a free space map, a file that the parent
did not have, one that was made anew, and one of which nearly all has changed come whole.
"""

import re
import threading
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from strongroom.model.errors import Corrupt, SourceUnsupported
from strongroom.model.postgres import PAGE, Lsn, Timeline, lsn_from_text, lsn_to_text
from strongroom.postgres.backup.page_check import PAGES_OF_SEGMENT
from strongroom.postgres.wire.pg_manifest import parse_pg_manifest
from strongroom.postgres.wire.timeline_history import parse_timeline_history
from strongroom.postgres.wire.wal_summary_file import (
    ForkChanges,
    SummaryRange,
    parse_wal_summary,
    summary_range,
)

_SUMMARIES = "pg_wal/summaries"
_PAUSE = 0.02  # seconds between two looks
_LOOKS = 3000  # in which the summarizer makes no step: a minute, and the server waits as long
_MOST = 0.9  # of a file: where more has changed, all of it comes
_FORKS = {None: 0, "fsm": 1, "vm": 2, "init": 3}
_FREE_SPACE = 1
_DEFAULT_SPACE, _GLOBAL_SPACE = 1663, 1664
_FILE = re.compile(
    r"(?:global|base/([0-9]+)|pg_tblspc/([0-9]+)/PG_[^/]+/([0-9]+))/"
    r"([0-9]+)(?:_(fsm|vm|init))?(?:\.([0-9]+))?"
)
_NEVER = threading.Event()
_Blocks = NDArray[np.uint32]
_NONE: _Blocks = np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class FilePart:
    """blocks: the numbers of those that come, ascending; kept: blocks at the beginning of which
    the parent's count where none comes.
    """

    blocks: _Blocks
    kept: int


@dataclass(slots=True)
class _Fork:
    limit: int | None = None
    blocks: list[_Blocks] = field(default_factory=list)


class ChangedBlocks:
    """Which blocks of which file have changed since the parent began."""

    def __init__(self, known: Container[str], changes: Iterable[ForkChanges]) -> None:
        """`known`: paths of the parent's files. `changes`: of all the log since, in any order."""
        self._known = known
        self._forks: dict[tuple[int, int, int, int], _Fork] = {}
        for each in changes:
            key = each.tablespace, each.database, each.relation, each.fork
            fork = self._forks.setdefault(key, _Fork())
            if each.limit is not None:
                fork.limit = each.limit if fork.limit is None else min(fork.limit, each.limit)
            fork.blocks.append(each.blocks)

    def part_of(self, path: str, size: int) -> FilePart | None:
        """What has to come of a file that has `size` bytes now; None: all of it."""
        found = _FILE.fullmatch(path)
        if found is None or size == 0 or size % PAGE or size > PAGES_OF_SEGMENT * PAGE:
            return None
        of_default, space, of_space, relation, name, segment = found.groups()
        fork = _FORKS[name]
        if fork == _FREE_SPACE or path not in self._known:
            return None
        database = int(of_default or of_space or 0)
        tablespace = int(space) if space else _DEFAULT_SPACE if database else _GLOBAL_SPACE
        if (tablespace, database, 0, 0) in self._forks:
            return None
        changes = self._forks.get((tablespace, database, int(relation), fork))
        if changes is None:
            return FilePart(_NONE, size // PAGE)
        return _part(changes, int(segment or 0) * PAGES_OF_SEGMENT, size // PAGE)


def _part(changes: _Fork, first: int, count: int) -> FilePart | None:
    """Of a segment whose first block is `first`."""
    if changes.limit is not None and changes.limit <= first:
        return None
    blocks = np.unique(np.concatenate([_NONE, *changes.blocks]))
    inside = blocks[(blocks >= first) & (blocks < first + count)] - np.uint32(first)
    if len(inside) > count * _MOST:
        return None
    # Beyond the limit a block of the parent's is of what was cut off.
    kept = count if changes.limit is None else min(count, changes.limit - first)
    return FilePart(inside, kept)


class Summarized(Protocol):
    """A running server whose data directory is at hand."""

    data_directory: Path

    def history(self, timeline: int) -> bytes:
        """The history file of a timeline that is not the first."""

    def summarized(self) -> tuple[Timeline, Lsn]:
        """How far its summaries go."""


def changed_since(
    pg_manifest: bytes,
    server: Summarized,
    now: tuple[Timeline, Lsn],
    watch: Callable[[], None],
) -> ChangedBlocks:
    """What has changed since the backup of that manifest, up to where the new one begins.

    Waits until all log between has been summarized, and calls `watch` meanwhile. Raises
    SourceUnsupported when summaries are gone, do not come, or cannot be read.
    """
    parent = parse_pg_manifest(pg_manifest)
    timeline, start, _ = parent.wal_ranges[0]
    forks = parse_timeline_history(server.history(now[0])) if timeline != now[0] else {}
    spans = _spans((Timeline(timeline), lsn_from_text(start)), now, forks)
    _wait(server, now, watch)
    paths = [path for span in spans for path in summaries_of(server.data_directory, span)]
    return ChangedBlocks(parent.files, (each for path in paths for each in _read(path)))


def _wait(server: Summarized, now: tuple[Timeline, Lsn], watch: Callable[[], None]) -> None:
    reached, looks = server.summarized(), 0
    while reached < now:
        if looks > _LOOKS:
            raise SourceUnsupported(
                f"the server's WAL summaries go on to {lsn_to_text(reached[1])}, and the backup "
                f"begins at {lsn_to_text(now[1])}"
            )
        watch()
        _NEVER.wait(_PAUSE)
        before, reached = reached, server.summarized()
        looks = looks + 1 if reached == before else 0


def _spans(
    start: tuple[Timeline, Lsn], end: tuple[Timeline, Lsn], forks: Mapping[Timeline, Lsn]
) -> list[SummaryRange]:
    """`forks`: where each older timeline was left, as the newest one's history says."""
    (timeline, place), spans = start, []
    for older in sorted(fork for fork in forks if fork >= timeline):
        spans.append(SummaryRange(older, place, forks[older]))
        place = forks[older]
    if end[1] < place:
        raise SourceUnsupported(
            f"the backup begins at {lsn_to_text(end[1])}, before its parent at "
            f"{lsn_to_text(place)}"
        )
    return [*spans, SummaryRange(end[0], place, end[1])]


def summaries_of(directory: Path, span: SummaryRange) -> list[Path]:
    """Files of summaries that join each other from the start to the end."""
    chain: list[Path] = []
    reached = span.start
    for told, path in sorted(_listed(directory, span.timeline), key=lambda each: each[0].start):
        if told.start <= reached < told.end and reached < span.end:
            chain.append(path)
            reached = told.end
    if reached < span.end:
        raise SourceUnsupported(
            f"the server has no WAL summaries of {lsn_to_text(reached)} to "
            f"{lsn_to_text(span.end)} any more"
        )
    return chain


def _listed(directory: Path, timeline: Timeline) -> Iterable[tuple[SummaryRange, Path]]:
    try:
        paths = list((directory / _SUMMARIES).iterdir())
    except OSError as error:
        raise SourceUnsupported(f"WAL summaries cannot be read: {error}") from error
    for path in paths:
        told = summary_range(path.name)
        if told is not None and told.timeline == timeline:
            yield told, path


def _read(path: Path) -> Iterable[ForkChanges]:
    try:
        return list(parse_wal_summary(path.read_bytes()))
    except (OSError, Corrupt) as error:
        raise SourceUnsupported(f"WAL summary {path.name} cannot be read: {error}") from error
