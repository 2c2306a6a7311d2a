"""Only what has changed since a parent: asked of the server, or told by the pages themselves.

PostgreSQL 17 and later send what their WAL summaries say has changed, when they keep any.
Otherwise everything is read, and the page versions of the parent tell which pages stay
(page_versions.py). Where neither goes, the backup is a full one and `why` says so.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from strongroom.model.errors import SourceUnsupported
from strongroom.model.postgres import PAGE, Lsn, SystemIdentifier, Timeline, lsn_to_text, major_of
from strongroom.postgres.pages.page_notes import PageNotes
from strongroom.postgres.pages.page_versions import PageColumns, PagesInPart, ParentPages, cut
from strongroom.postgres.server.asked import Asked, show
from strongroom.postgres.server.events import (
    Ended,
    Event,
    FileBegun,
    FileData,
    FileEnded,
    FilePages,
    ManifestData,
    Started,
)
from strongroom.postgres.server.system import System
from strongroom.postgres.wire.backup_label import MOST_BYTES, without_increments
from strongroom.postgres.wire.incremental import (
    MOST_BLOCKS,
    IncrementalFile,
    IncrementalReader,
    whole_name,
)
from strongroom.postgres.wire.incremental_manifest import (
    LABEL,
    of_whole_files,
    without_visibility_maps,
)
from strongroom.postgres.wire.timeline_history import parse_timeline_history

SUMMARIES_SINCE = 17


@dataclass(frozen=True, slots=True)
class Parent:
    """The committed backup that an increment leans on.

    `page_versions`: path -> the words of its pages (page_versions.py); empty where none were kept.
    """

    system_identifier: SystemIdentifier
    timeline: Timeline
    start_lsn: Lsn
    stop_lsn: Lsn
    pg_manifest: bytes
    checksums: bool = False
    page_versions: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """What earlier tries of this backup have stored, when they broke off.

    starts: path -> start LSN of the try that stored the file or its beginning; page_versions: of
    the same paths.
    """

    system_identifier: SystemIdentifier
    timeline: Timeline
    starts: Mapping[str, Lsn]
    page_versions: Mapping[str, bytes]


@dataclass(slots=True)
class _UnderWay:
    """The file that is being read.

    own: so many pages at its beginning an earlier try may have stored; kept: so many are known.
    """

    path: str = ""
    now: PageColumns | PagesInPart = field(default_factory=PageColumns)
    own: int = 0
    kept: int = 0

    def versions(self, pages: int, *, in_part: bool) -> bytes | None:
        if isinstance(self.now, PagesInPart):
            return self.now.packed(pages)
        if pages > len(self.now):
            return None
        if not in_part:
            return self.now.packed(pages)
        if pages < self.own:
            return None  # beyond them are pages of that try, not the parent's
        return self.now.packed(pages, self.kept - pages)


class Increment:
    """One backup: give `prepare` to `physical_backup`, and what it yields to `events`.

    From `Started` on `is_full`, `why` and `resumes` are known: whether it leans on what was stored
    before. At the end `page_versions` are this backup's.
    """

    def __init__(
        self, parent: Parent | None = None, stored: Stored | None = None, why_not: str = ""
    ) -> None:
        """`why_not`: why the parent cannot serve, where that is known before."""
        self.is_full = True
        self.resumes = False
        self.why = ""
        self._known_why_not = why_not
        self._parent = parent
        self._stored = stored
        self._records = True
        self._switched = False
        self._notes = PageNotes()
        self._under_way = _UnderWay()
        self._sizes: dict[str, int] = {}  # of files that came in part, or of which a page stayed
        self._label: bytes | None = None

    @property
    def page_versions(self) -> Mapping[str, bytes]:
        """Of every file that came whole; none where the server itself will tell what changes."""
        return self._notes if self._records else {}

    @property
    def note(self) -> str:
        """For people who watch: `why`, or that an earlier try is gone on with."""
        return self.why or ("going on where an earlier try broke off" if self.resumes else "")

    def versions(self, path: str, pages: int, *, in_part: bool) -> bytes | None:
        """Of so many pages at the beginning of a file, if they are known.

        `in_part`: with what comes after them as the parent's; None where nobody can say so.
        """
        if self._under_way.path == path:
            return self._under_way.versions(pages, in_part=in_part)
        noted = None if in_part else self._notes.get(path)
        return None if noted is None else cut(noted, pages)

    def prepare(self, server: Asked, system: System) -> bytes:
        """The parent's backup_manifest where the server's summaries can serve it, else nothing."""
        has_summaries = (
            major_of(system.version_number) >= SUMMARIES_SINCE
            and show(server, "summarize_wal") == "on"
        )
        self._records = not has_summaries
        if self._parent is None:
            return b""
        self.why = self._known_why_not or self._why_not(server, system, self._parent)
        if self.why:
            self._parent = None
            return b""
        # pg_checksums rewrites every page, and tells neither the log nor its summaries.
        self._switched = self._parent.checksums != system.checksums
        if not has_summaries or self._switched:
            return b""
        return without_visibility_maps(self._parent.pg_manifest)

    def _why_not(self, server: Asked, system: System, parent: Parent) -> str:
        if parent.system_identifier != system.identifier:
            return "the server is another one: its system identifier has changed"
        if parent.timeline == system.timeline:
            return ""
        left = None
        if system.timeline > parent.timeline:  # else it cannot have come after the parent's
            left = parse_timeline_history(server.history(system.timeline)).get(parent.timeline)
        if left is None or left < parent.stop_lsn:
            return (
                f"the last point, on timeline {parent.timeline}, is not on the history of the "
                f"server's timeline {system.timeline}"
            )
        return ""

    def events(self, events: Iterable[Event], *, in_recovery: bool = False) -> Iterator[Event]:
        """The same events with parts of files where the parent has the rest."""
        source = iter(events)
        for event in source:
            match event:
                case Started():
                    self._choose(event, in_recovery=in_recovery)
                    yield event
                    yield from self._rest(event, source)
                case _:
                    yield event

    def _choose(self, started: Started, *, in_recovery: bool) -> None:
        self._choose_parent(started, in_recovery=in_recovery)
        stored = self._stored
        self.resumes = stored is not None and self._may_resume(started, stored)

    def _may_resume(self, started: Started, stored: Stored) -> bool:
        same = (stored.system_identifier, stored.timeline)
        if same != (started.system_identifier, started.timeline):
            return False
        return all(start <= started.start_lsn for start in stored.starts.values())

    def _choose_parent(self, started: Started, *, in_recovery: bool) -> None:
        parent = self._parent
        if parent is None:
            return
        if started.by_summaries:
            self.is_full = False
        elif not in_recovery and started.start_lsn < parent.stop_lsn:
            self.why = (
                f"the server has gone back: it is at {lsn_to_text(started.start_lsn)}, the last "
                f"point ended at {lsn_to_text(parent.stop_lsn)}"
            )
        elif not parent.page_versions:
            kept_none = "the last point kept no page versions to compare with"
            switched = "page checksums have been switched on or off, and that is in no summary"
            self.why = switched if self._switched else started.refused or kept_none
        else:
            self.is_full = False
            self._records = True
        if self.is_full:
            self._parent = None

    def _rest(self, started: Started, source: Iterator[Event]) -> Iterator[Event]:
        manifest = bytearray()
        for event in source:
            match event:
                case FileBegun():
                    yield from self._file(event, source, by_summaries=started.by_summaries)
                case ManifestData(data):
                    manifest += data
                case Ended():
                    yield ManifestData(memoryview(self._told(bytes(manifest))))
                    yield event
                case _:
                    yield event

    def _told(self, manifest: bytes) -> bytes:
        if self.is_full and not self.resumes:
            return manifest
        return of_whole_files(manifest, self._sizes, self._label)

    def _file(
        self, begun: FileBegun, source: Iterator[Event], *, by_summaries: bool
    ) -> Iterator[Event]:
        if begun.kind in {"directory", "link"}:
            yield begun
        elif by_summaries and begun.path == LABEL:
            yield from self._without_increments(begun, source)
        elif by_summaries and (whole := whole_name(begun.path)) is not None:
            yield from self._part(replace(begun, path=whole, kind="main"), source)
        elif begun.kept is not None:
            yield from self._told_part(begun, source)
        elif begun.kind == "main" and begun.size % PAGE == 0:
            stored = self._stored_pages(begun.path)
            parents = None if by_summaries else self._parents_pages(begun.path)
            yield from self._relation(begun, source, stored, parents)
        else:
            yield begun
            yield from _rest_of_file(source)

    def _without_increments(self, begun: FileBegun, source: Iterator[Event]) -> Iterator[Event]:
        """Its INCREMENTAL lines would keep a restored server from starting."""
        if begun.size > MOST_BYTES:
            raise SourceUnsupported(f"the server sends a {LABEL} of {begun.size} bytes")
        self._label = without_increments(b"".join(_data_of(source)))
        yield replace(begun, size=len(self._label))
        yield FileData(memoryview(self._label))
        yield FileEnded()

    def _part(self, begun: FileBegun, source: Iterator[Event]) -> Iterator[Event]:
        """An INCREMENTAL.* member: of its blocks, those that no earlier try has stored."""
        reader, stored, pages = IncrementalReader(begun.size), None, PagesInPart()
        self._under_way = _UnderWay(begun.path, pages)
        for data in _data_of(source):
            for found in reader.feed(data):
                match found:
                    case IncrementalFile(size, kept):
                        self._sizes[begun.path] = size
                        stored = self._stored_pages(begun.path, kept // PAGE)
                        yield replace(begun, size=size, kept=kept)
                    case (blocks, data):
                        yield from _not_stored(stored, pages, FilePages(blocks, data))
        reader.finish()
        yield from self._end_part(begun.path, pages)

    def _told_part(self, begun: FileBegun, source: Iterator[Event]) -> Iterator[Event]:
        """A part of a file that came as such, read by what the server's summaries tell."""
        self._sizes[begun.path] = begun.size
        stored = self._stored_pages(begun.path, (begun.kept or 0) // PAGE)
        pages = PagesInPart()
        self._under_way = _UnderWay(begun.path, pages)
        yield begun
        for event in _rest_of_file(source):
            if isinstance(event, FilePages):
                yield from _not_stored(stored, pages, event)
        yield from self._end_part(begun.path, pages)

    def _end_part(self, path: str, pages: PagesInPart) -> Iterator[Event]:
        yield FileEnded()
        self._under_way = _UnderWay()
        if pages:
            self._notes[path] = pages.packed()

    def _relation(
        self,
        begun: FileBegun,
        source: Iterator[Event],
        stored: ParentPages | None,
        parents: ParentPages | None,
    ) -> Iterator[Event]:
        """A file of a relation that came whole: its page versions are noted, and compared."""
        now = PageColumns()
        older = stored.over(parents) if stored and parents else stored or parents
        kept = None if older is None else min(older.count * PAGE, begun.size)
        own = stored.own if stored else 0
        self._under_way = _UnderWay(begun.path, now, own, (kept or 0) // PAGE)
        yield replace(begun, kept=kept)
        changed_pages = 0
        for pages in _whole_pages(_data_of(source)):
            first = len(now)
            words = now.add(pages)
            if older is None:
                yield FileData(pages)
                continue
            for begin, end in older.changed(first, words):
                changed_pages += end - begin
                changed = pages[(begin - first) * PAGE : (end - first) * PAGE]
                yield FilePages(range(begin, end), changed)
        yield FileEnded()
        if older is not None and changed_pages < len(now):
            self._sizes[begun.path] = begun.size
        self._under_way = _UnderWay()
        if len(now):
            self._notes[begun.path] = now.packed()

    def _stored_pages(self, path: str, most: int = MOST_BLOCKS) -> ParentPages | None:
        """What an earlier try has stored of a file: so many pages at its beginning may stay."""
        stored = self._stored
        if not self.resumes or stored is None or path not in stored.starts:
            return None
        return ParentPages(stored.page_versions[path], stored.starts[path], most)

    def _parents_pages(self, path: str) -> ParentPages | None:
        if self._parent is None or path not in self._parent.page_versions:
            return None
        return ParentPages(self._parent.page_versions[path], self._parent.start_lsn)


def _not_stored(
    stored: ParentPages | None, came: PagesInPart, now: FilePages
) -> Iterator[FilePages]:
    """Of pages that come in part, those that no earlier try has stored; all are noted."""
    words = came.add(now.blocks, now.data)
    if stored is None:
        yield now
        return
    places = stored.has_changed(now.blocks, words)
    if places:
        pages = b"".join(now.data[place * PAGE : (place + 1) * PAGE] for place in places)
        yield FilePages([now.blocks[place] for place in places], memoryview(pages))


def _rest_of_file(source: Iterator[Event]) -> Iterator[Event]:
    for event in source:
        yield event
        if isinstance(event, FileEnded):
            return


def _data_of(source: Iterator[Event]) -> Iterator[memoryview]:
    for event in _rest_of_file(source):
        if isinstance(event, FileData):
            yield event.data


def _whole_pages(pieces: Iterator[memoryview]) -> Iterator[memoryview]:
    """The same bytes, cut between pages."""
    rest: bytes | memoryview = b""
    for piece in pieces:
        whole = memoryview(b"".join((rest, piece)) if rest else piece)
        end = len(whole) - len(whole) % PAGE
        if end:
            yield whole[:end]
        rest = whole[end:]
    if rest:
        raise SourceUnsupported("a relation's file does not end with a page")
