"""Doors to storage: what is listed, with size and digest, and the bytes themselves."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from blake3 import blake3


@dataclass(frozen=True)
class Entry:
    """What a listing says of a name."""

    size: int
    digest: bytes


class Door(Protocol):
    """One container."""

    def listed(self) -> dict[str, Entry]:
        """All of it now."""

    def read(self, name: str) -> bytes:
        """The bytes of one object."""

    def locks(self) -> dict[str, datetime]:
        """Until when each name, or all beneath a prefix that ends in `/`, is locked."""

    def holds(self) -> set[tuple[str, str]]:
        """(name or prefix, id of the hold)."""


class MemoryDoor:
    """A container that lies in memory; its listing is always of the bytes themselves."""

    def __init__(
        self,
        objects: Mapping[str, bytes],
        locks: Mapping[str, datetime],
        holds: Collection[tuple[str, str]] = (),
    ) -> None:
        self._objects, self._locks, self._holds = objects, locks, holds

    def listed(self) -> dict[str, Entry]:
        return {
            name: Entry(len(data), blake3(data).digest())
            for name, data in list(self._objects.items())
        }

    def read(self, name: str) -> bytes:
        return self._objects[name]

    def locks(self) -> dict[str, datetime]:
        return dict(self._locks)

    def holds(self) -> set[tuple[str, str]]:
        return set(self._holds)


class StoreDoor:
    """A container of a storage endpoint: its ledger lists, its files are the bytes.

    Neither asks the endpoint, which may be dead just now. A file whose final name is still to be
    made lies among the incoming ones.
    """

    def __init__(self, root: Path, account: str, container: str) -> None:
        self._root, self._container = root, container
        self.directory = root / account / container

    def _rows(self, what: str, more: str = "", *values: str) -> list[tuple]:
        with reading(self._root / ".strongroom" / "ledger.sqlite") as connection:
            query = f"SELECT {what} FROM blobs WHERE container = ? AND state = 'live' {more}"
            return connection.execute(query, [self._container, *values]).fetchall()

    def listed(self) -> dict[str, Entry]:
        return {
            name: Entry(size, digest) for name, size, digest in self._rows("name, size, blake3")
        }

    def read(self, name: str) -> bytes:
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            rows = self._rows("incoming", "AND name = ?", name)
            if not rows or rows[0][0] is None:
                raise
            return (self._root / ".strongroom" / "incoming" / f"{rows[0][0]}.part").read_bytes()

    def locks(self) -> dict[str, datetime]:
        with reading(self._root / ".strongroom" / "ledger.sqlite") as connection:
            query = "SELECT name, until FROM locks WHERE container = ?"
            rows = connection.execute(query, [self._container]).fetchall()
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return {name: epoch + timedelta(microseconds=until) for name, until in rows}

    def holds(self) -> set[tuple[str, str]]:
        with reading(self._root / ".strongroom" / "ledger.sqlite") as connection:
            query = "SELECT name, id FROM holds WHERE container = ?"
            return set(connection.execute(query, [self._container]).fetchall())


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One consistent look into an SQLite file that another process may be writing."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    connection.isolation_level = None
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


@contextmanager
def laid_out(door: Door) -> Iterator[Path]:
    """A container as plain files, for readers that know nothing else."""
    if isinstance(door, StoreDoor):
        yield door.directory
        return
    with TemporaryDirectory(prefix="container-") as directory:
        for name in door.listed():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(door.read(name))
        yield Path(directory)
