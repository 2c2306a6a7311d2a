"""The store's own book: which blobs exist. A row is the commit point of a put, and of a delete.

SQLite with WAL and synchronous=FULL: what `record` has answered survives a power loss. A blob is

    live      it exists; while `incoming` is set its final name is still to be made
    deleting  it is gone for everybody; its file is still to be removed

Lazy notes (a link was made, a scrub came by) are written without waiting for the disk: lost, they
are found again at the next start. The stored access policies (identifiers.py), the locks and holds
(locks.py) and the latest believed time (lock_clock.py) lie here as well.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from whenever import Instant

from strongroom.model.errors import (
    Conflict,
    Invalid,
    ObjectExists,
    ObjectMissing,
    Precondition,
    StoreFull,
    StoreUnavailable,
)
from strongroom.storage.basis.blob import Asked, Blob, Container, Facts, Finding
from strongroom.storage.basis.names import ancestors
from strongroom.storage.ledger.ledger_schema import STEPS, VERSION

_COLUMNS = "container, name, size, blake3, md5, facts, created, incoming, version"
Refuse = Callable[[sqlite3.Connection, Blob], None]
BEYOND = "\U0010ffff"  # sorts after every name: invisible characters are not allowed in names


class Ledger:
    """Thread-safe: one writer at a time, readers beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        with _translated():
            self._writer = _connect(path, synchronous="FULL")
            self._lazy = _connect(path, synchronous="NORMAL")
            self._prepare()

    def close(self) -> None:
        """Fold the write-ahead log in and let go."""
        with self._lock:
            while not self._readers.empty():
                self._readers.get_nowait().close()
            self._lazy.close()
            self._writer.close()

    # --- containers ---

    def add_container(self, container: Container) -> None:
        """Raises ObjectExists (ContainerAlreadyExists)."""
        row = (container.name, micros_of(container.created), json.dumps(dict(container.metadata)))
        with self.writing() as connection:
            try:
                connection.execute("INSERT INTO containers VALUES (?, ?, ?)", row)
            except sqlite3.IntegrityError as error:
                raise ObjectExists(
                    "the container exists", code="ContainerAlreadyExists"
                ) from error

    def container(self, name: str) -> Container:
        """Raises ObjectMissing (ContainerNotFound)."""
        with self.reading() as connection:
            row = connection.execute("SELECT * FROM containers WHERE name = ?", [name]).fetchone()
        if row is None:
            raise _no_container()
        return _container(row)

    def containers(self, asked: Asked) -> list[Container]:
        """In name order."""
        bound, start = _lower_bound(asked)
        query = f"SELECT * FROM containers WHERE name {bound} ? AND name < ? ORDER BY name LIMIT ?"  # noqa: S608
        with self.reading() as connection:
            found = connection.execute(
                query, [start, asked.prefix + BEYOND, asked.limit]
            ).fetchall()
        return [_container(row) for row in found]

    def remove_container(self, name: str) -> None:
        """An empty one. Raises Conflict (ContainerNotEmpty) or ObjectMissing."""
        with self.writing() as connection:
            query = "SELECT 1 FROM blobs WHERE container = ? LIMIT 1"
            if connection.execute(query, [name]).fetchone():
                raise Conflict(
                    "the container still holds blobs",
                    code="ContainerNotEmpty",
                    hint="Delete its blobs first: each deletion is recorded.",
                )
            if not connection.execute("DELETE FROM containers WHERE name = ?", [name]).rowcount:
                raise _no_container()

    # --- blobs ---

    def record(self, blob: Blob) -> None:
        """The commit point of a put: one transaction, on disk when this returns.

        Raises ObjectExists (BlobAlreadyExists), Conflict (PathConflict) or ObjectMissing.
        """
        with self.writing() as connection:
            if not connection.execute(
                "SELECT 1 FROM containers WHERE name = ?", [blob.container]
            ).fetchone():
                raise _no_container()
            _check_name_is_free(connection, blob.container, blob.name)
            connection.execute(
                f"INSERT INTO blobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                _row(blob),
            )

    def check_free(self, container: str, name: str) -> None:
        """Raise what `record` would raise now: asked before a body is read."""
        self.container(container)
        with self.reading() as connection:
            _check_name_is_free(connection, container, name)

    def blob(self, container: str, name: str) -> Blob:
        """A live one. Raises ObjectMissing (BlobNotFound or ContainerNotFound)."""
        query = f"SELECT {_COLUMNS} FROM blobs WHERE container = ? AND name = ?"  # noqa: S608
        with self.reading() as connection:
            row = connection.execute(f"{query} AND state = 'live'", [container, name]).fetchone()
        if row is None:
            self.container(container)
            raise ObjectMissing("the blob does not exist", code="BlobNotFound")
        return _blob(row)

    def blobs(self, container: str, asked: Asked) -> list[Blob]:
        """Live ones in name order (code points), whatever the delimiter."""
        bound, start = _lower_bound(asked)
        query = (
            f"SELECT {_COLUMNS} FROM blobs WHERE container = ? AND name {bound} ? "  # noqa: S608
            "AND name < ? AND state = 'live' ORDER BY name LIMIT ?"
        )
        with self.reading() as connection:
            found = connection.execute(
                query, [container, start, asked.prefix + BEYOND, asked.limit]
            ).fetchall()
        return [_blob(row) for row in found]

    def note_linked(self, blob: Blob) -> None:
        """It is in its final place. Lazy: the next start would find out."""
        self.note(
            "UPDATE blobs SET incoming = NULL, version = ? "
            "WHERE container = ? AND name = ? AND incoming = ?",
            [blob.version, blob.container, blob.name, blob.incoming],
        )

    def note_incoming(self, blob: Blob, incoming: str) -> None:
        """Its bytes lie in this file of `incoming/` from now on, until it is placed once more."""
        with self.writing() as connection:
            connection.execute(
                "UPDATE blobs SET incoming = ? WHERE container = ? AND name = ?",
                [incoming, blob.container, blob.name],
            )

    def condemn(
        self, container: str, name: str, now: Instant, caller: str, refuse: Refuse
    ) -> Blob:
        """The commit point of a delete: from here on the blob is gone for everybody.

        Raises ObjectMissing, and what `refuse` raises within the same transaction. One whose
        removal was broken off is condemned again, quietly.
        """
        query = f"SELECT {_COLUMNS}, state FROM blobs WHERE container = ? AND name = ?"  # noqa: S608
        with self.writing() as connection:
            row = connection.execute(query, [container, name]).fetchone()
            if row is None:
                raise ObjectMissing("the blob does not exist", code="BlobNotFound")
            blob = _blob(row[:-1])
            if row[-1] == "live":
                refuse(connection, blob)
                connection.execute(
                    "UPDATE blobs SET state = 'deleting' WHERE container = ? AND name = ?",
                    [container, name],
                )
                connection.execute(
                    "INSERT INTO deletions VALUES (?, ?, ?, ?, ?, ?)",
                    [micros_of(now), container, name, blob.size, blob.blake3, caller],
                )
        return blob

    def forget(self, blob: Blob) -> None:
        """Remove the row of a condemned blob whose file is gone."""
        with self.writing() as connection:
            connection.execute(
                "DELETE FROM blobs WHERE container = ? AND name = ? AND state = 'deleting'",
                [blob.container, blob.name],
            )

    def unfinished(self) -> tuple[list[Blob], list[Blob]]:
        """What a crash left: blobs to link, blobs to remove."""
        query = f"SELECT {_COLUMNS} FROM blobs WHERE "  # noqa: S608
        with self.reading() as connection:
            linking = connection.execute(f"{query} incoming IS NOT NULL AND state = 'live'")
            to_link = [_blob(row) for row in linking]
            removing = connection.execute(f"{query} state = 'deleting'")
            return to_link, [_blob(row) for row in removing]

    def state(self, blob: Blob) -> str:
        """placing | live | deleting, of exactly this blob; empty when its row is gone."""
        query = (
            "SELECT state, incoming FROM blobs WHERE container = ? AND name = ? AND created = ?"
        )
        with self.reading() as connection:
            row = connection.execute(
                query, [blob.container, blob.name, micros_of(blob.created)]
            ).fetchone()
        if row is None:
            return ""
        return "placing" if row[0] == "live" and row[1] is not None else str(row[0])

    def least_recently_checked(self, limit: int, before: Instant | None = None) -> list[Blob]:
        """Whom a scrub should visit next: of those neither written nor visited since `before`."""
        latest = (1 << 62) if before is None else micros_of(before)
        query = (
            f"SELECT {_COLUMNS} FROM blobs WHERE state = 'live' AND checked < ? "  # noqa: S608
            "AND created < ? ORDER BY checked LIMIT ?"
        )
        with self.reading() as connection:
            return [_blob(row) for row in connection.execute(query, [latest, latest, limit])]

    def corrupt(self, container: str) -> list[str]:
        """Names whose last visit found other bytes than were written."""
        query = (
            "SELECT name FROM blobs WHERE container = ? AND state = 'live' "
            "AND finding = 'corrupt' ORDER BY name"
        )
        with self.reading() as connection:
            return [row[0] for row in connection.execute(query, [container])]

    def note_checked(self, finding: Finding, now: Instant) -> None:
        """Remember what re-reading found."""
        self.note(
            "UPDATE blobs SET checked = ?, finding = ? WHERE container = ? AND name = ?",
            [micros_of(now), finding.state, finding.container, finding.name],
        )

    # --- connections ---

    def note(self, statement: str, values: Sequence[Any]) -> int:
        """A lazy note: the next transaction that waits for the disk takes it along.

        Answers how many rows it changed.
        """
        with self._lock, _translated():
            return self._lazy.execute(statement, values).rowcount

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when it ends."""
        with self._lock, _translated():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What was committed last."""
        with _translated():
            try:
                connection = self._readers.get_nowait()
            except Empty:
                connection = _connect(self._path, synchronous="NORMAL")
            try:
                yield connection
            finally:
                self._readers.put(connection)

    def _prepare(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version < VERSION:
            steps = " ".join(STEPS[version:])
            self._writer.executescript(
                f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;"
            )
        elif version > VERSION:
            raise Invalid(
                f"the store's ledger has version {version}, this program knows {VERSION}",
                hint="Start the version of strongroom that wrote it, or a newer one.",
            )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreFull("the disk of the store's ledger is full") from error
        raise StoreUnavailable("the store's ledger does not answer") from error


def _connect(path: Path, *, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    found = connection.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, found) != ("wal", {"NORMAL": 1, "FULL": 2}[synchronous]):
        connection.close()
        raise Precondition(
            f"the ledger's directory does not allow a write-ahead log (it said {mode})",
            hint="Put the store on a local disk: network file systems cannot hold its ledger.",
        )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _check_name_is_free(connection: sqlite3.Connection, container: str, name: str) -> None:
    if connection.execute(
        "SELECT 1 FROM blobs WHERE container = ? AND name = ?", [container, name]
    ).fetchone():
        raise ObjectExists("the blob exists, and nothing is overwritten", code="BlobAlreadyExists")
    # `/` + 1 is `0`: every name beneath this one lies between the two.
    beneath = connection.execute(
        "SELECT name FROM blobs WHERE container = ? AND name > ? AND name < ? LIMIT 1",
        [container, f"{name}/", f"{name}0"],
    ).fetchone()
    above = ancestors(name)
    marks = ",".join("?" * len(above))
    if beneath is None and above:
        beneath = connection.execute(
            f"SELECT name FROM blobs WHERE container = ? AND name IN ({marks}) LIMIT 1",  # noqa: S608
            [container, *above],
        ).fetchone()
    if beneath is not None:
        raise Conflict("a blob's name is a directory of another's", code="PathConflict")


def _lower_bound(asked: Asked) -> tuple[str, str]:
    # One bound, so that SQLite seeks to it: of several it may take the one that reads everything.
    start = max(asked.prefix, asked.start)
    return (">", asked.after) if asked.after and asked.after >= start else (">=", start)


def _no_container() -> ObjectMissing:
    return ObjectMissing("the container does not exist", code="ContainerNotFound")


def micros_of(moment: Instant) -> int:
    """Microseconds since 1970: how the ledger keeps a time."""
    return moment.timestamp(unit="microsecond")


def instant_of(micros: int) -> Instant:
    """The reverse."""
    return Instant.from_timestamp(micros, unit="microsecond")


def _container(row: Sequence[Any]) -> Container:
    return Container(row[0], instant_of(row[1]), json.loads(row[2]))


def _row(blob: Blob) -> list[Any]:
    facts = {"headers": dict(blob.facts.headers), "metadata": dict(blob.facts.metadata)}
    what = [blob.size, blob.blake3, blob.md5, json.dumps(facts)]
    at = [micros_of(blob.created), blob.incoming, blob.version]
    return [blob.container, blob.name, *what, *at]


def _blob(row: Sequence[Any]) -> Blob:
    container, name, size, blake3, md5, facts, created, incoming, version = row
    return Blob(
        container=container,
        name=name,
        size=size,
        blake3=blake3,
        md5=md5,
        facts=Facts(**json.loads(facts)),
        created=instant_of(created),
        incoming=incoming,
        version=version,
    )
