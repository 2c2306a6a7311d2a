"""Which files of a recovery point a scratch server needs, to give one table or one database.

Read from the catalogues' own pages before any server runs. What is read is as old as the copy and
may be torn, so it is a first guess that the recovered server then confirms (scratch_server.py). A
guess suffices for a start, for a relation whose file is newer than the beginning of the copy is
written whole by the write-ahead log.

A dump reads tables from end to end: of indexes just the catalogues' own are needed, and those of
toast, by which long values are found.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from strongroom.model.errors import NotFound
from strongroom.model.postgres import PAGE
from strongroom.postgres.restore.layout import HOLDS_BYTES, RestoredFile
from strongroom.postgres.wire import heap

SMALL = 2 * PAGE  # relations of a page or two are taken whole: pg_dump reads every sequence
FIRST_USER_OID = 16384
_DATABASES, _ROLES, _CLASS, _NAMESPACES, _INDEXES, _INHERITS = 1262, 1260, 1259, 2615, 2610, 2611
_LARGE_OBJECTS = frozenset({2613, 2683})  # the data and its index: no table's dump reads them
_RELATION = re.compile(
    r"(?:global|(?:base|pg_tblspc/\d+/PG_[^/]+)/(?P<database>\d+))"
    r"/(?P<file>\d+)(?:_(?P<fork>fsm|vm|init))?(?:\.(?P<segment>\d+))?"
)
_MAP = re.compile(r"(?:base|pg_tblspc/\d+/PG_[^/]+)/(\d+)/pg_filenode\.map")
_LOGS = ("log/", "pg_log/")


@dataclass(frozen=True, slots=True)
class Place:
    """Whose file it is: (database, file number); database 0 holds what all share."""

    database: int
    file: int
    fork: str
    segment: int

    @property
    def is_needed(self) -> bool:
        """Maps of free space and of what all may see are made anew where they are missing."""
        return self.fork not in {"fsm", "vm"}


def place_of(path: str) -> Place | None:
    """None for what is no relation's file."""
    found = _RELATION.fullmatch(path)
    if found is None:
        return None
    database, segment = int(found["database"] or 0), int(found["segment"] or 0)
    return Place(database, int(found["file"]), found["fork"] or "", segment)


class NeededFiles:
    """The files of one point, by what they hold. `read(index)` gives a fetched file's pages."""

    def __init__(
        self, files: Sequence[RestoredFile], major: int, read: Callable[[int], Iterator[bytes]]
    ) -> None:
        self._files = files
        self._major = major
        self._read = read

    @cached_property
    def _relations(self) -> dict[tuple[int, int], list[int]]:
        found: dict[tuple[int, int], list[int]] = {}
        for index, file in enumerate(self._files):
            place = place_of(file.path)
            if place is not None and place.is_needed and file.kind in HOLDS_BYTES:
                found.setdefault((place.database, place.file), []).append(index)
        return found

    def everywhere(self) -> set[int]:
        """What every server needs: all that is no relation's, the shared catalogues, the log."""
        found = set()
        for index, file in enumerate(self._files):
            place = place_of(file.path)
            is_log = file.path.startswith(_LOGS)
            if file.kind in HOLDS_BYTES and not is_log and (place is None or not place.database):
                found.add(index)
        return found

    def databases(self) -> dict[str, int]:
        """Name -> oid. Needs `everywhere`."""
        named = map(heap.read_named, self._rows(0, self._shared[_DATABASES]))
        return {one.name: one.oid for one in named if one is not None}

    def every_database(self) -> list[int]:
        """The oids of all that have files."""
        found = (_MAP.fullmatch(file.path) for file in self._files)
        return sorted({int(each[1]) for each in found if each is not None})

    def superuser(self) -> str:
        """A role that may do everything and log in; the one that initdb made before all others."""
        found = map(heap.read_role, self._rows(0, self._shared[_ROLES]))
        fit = sorted((r.oid, r.name) for r in found if r and r.superuser and r.may_log_in)
        if not fit:
            raise NotFound(
                "the recovery point has no superuser that may log in",
                hint="Restore all of it with --to-dir, and use single-user mode there.",
            )
        return fit[0][1]

    def database(self, name: str) -> int:
        """Its oid; NotFound names those that are there."""
        found = self.databases()
        if name not in found:
            there = ", ".join(sorted(set(found) - {"template0", "template1"}))
            raise NotFound(
                f"the recovery point has no database {name[:64]!r}", hint=f"It has: {there}."
            )
        return found[name]

    def map_of_classes(self, database: int) -> set[int]:
        """The files of pg_class, which name all others. Needs `everywhere`."""
        return self.of(database, {self._mapped(database)[_CLASS]})

    def of(self, database: int, numbers: set[int]) -> set[int]:
        """All forks and segments of relations, by file number."""
        return {
            index for number in numbers for index in self._relations.get((database, number), ())
        }

    def whole(self, database: int) -> set[int]:
        """Every relation of a database but indexes of its tables. Needs `catalogues`."""
        relations = list(self._classes(database))
        toast = {relation.toast for relation in relations}
        indexes = {
            index
            for index, table in self._pairs(database, relations, _INDEXES)
            if index >= FIRST_USER_OID and table not in toast
        }
        left_out = {relation.file for relation in relations if relation.oid in indexes}
        here = {number for owner, number in self._relations if owner == database}
        return self.of(database, here - left_out)

    def catalogues(self, database: int) -> set[int]:
        """System relations but for large objects, and all that are small. Needs pg_class."""
        mapped = self._mapped(database)
        numbers = {number for oid, number in mapped.items() if oid not in _LARGE_OBJECTS}
        for relation in self._classes(database):
            if relation.oid < FIRST_USER_OID and relation.oid not in _LARGE_OBJECTS:
                numbers.add(relation.file)
        return self.of(database, numbers) | self._small(database)

    def _small(self, database: int) -> set[int]:
        found = set()
        for (owner, _), indexes in self._relations.items():
            sizes = {self._files[index].path: self._files[index].size for index in indexes}
            if owner == database and max(sizes.values()) <= SMALL:
                found.update(indexes)
        return found

    def table(self, database: int, schema: str, name: str) -> set[int]:
        """A table with its children and their toast; nothing when there is none of it.

        Needs `catalogues`.
        """
        relations = list(self._classes(database))
        schemas = {one.oid for one in self._named(database, relations, _NAMESPACES, schema)}
        oids = {r.oid for r in relations if r.name == name and r.schema in schemas}
        _close_over(oids, [(p, c) for c, p in self._pairs(database, relations, _INHERITS)])
        toast = {r.toast for r in relations if r.oid in oids and r.toast}
        toast |= {i for i, table in self._pairs(database, relations, _INDEXES) if table in toast}
        return self.of(database, {r.file for r in relations if r.oid in oids | toast})

    # --- catalogues

    @cached_property
    def _shared(self) -> dict[int, int]:
        return self._map_at("global/pg_filenode.map")

    def _mapped(self, database: int) -> dict[int, int]:
        for file in self._files:
            found = _MAP.fullmatch(file.path)
            if found is not None and int(found[1]) == database:
                return self._map_at(file.path)
        raise NotFound(f"the recovery point has no map of database {database}")

    def _map_at(self, path: str) -> dict[int, int]:
        index = next((i for i, file in enumerate(self._files) if file.path == path), None)
        if index is None:
            raise NotFound(f"the recovery point has no {path}")
        return heap.mapped_files(b"".join(self._read(index)))

    def _classes(self, database: int) -> Iterator[heap.Relation]:
        for row in self._rows(database, self._mapped(database)[_CLASS]):
            found = heap.read_relation(row, self._major)
            if found is not None:
                yield found

    def _named(
        self, database: int, relations: Sequence[heap.Relation], oid: int, name: str
    ) -> Iterator[heap.Named]:
        for row in self._rows_of(database, relations, oid):
            found = heap.read_named(row)
            if found is not None and found.name == name:
                yield found

    def _pairs(
        self, database: int, relations: Sequence[heap.Relation], oid: int
    ) -> list[tuple[int, int]]:
        found = map(heap.read_pair, self._rows_of(database, relations, oid))
        return [pair for pair in found if pair is not None]

    def _rows_of(
        self, database: int, relations: Sequence[heap.Relation], oid: int
    ) -> Iterator[bytes]:
        for number in {r.file for r in relations if r.oid == oid}:
            yield from self._rows(database, number)

    def _rows(self, database: int, number: int) -> Iterator[bytes]:
        """Of the main fork, segment by segment."""
        for index in self._relations.get((database, number), ()):
            place = place_of(self._files[index].path)
            if place is not None and not place.fork:
                for page in self._read(index):
                    yield from heap.rows(page)


def _close_over(oids: set[int], edges: Sequence[tuple[int, int]]) -> None:
    """Add all that can be reached along (from, to)."""
    grown = True
    while grown:
        before = len(oids)
        oids.update(to for start, to in edges if start in oids)
        grown = len(oids) > before
