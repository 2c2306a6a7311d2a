"""Until when blobs stay, whoever asks: the store's own book of locks and holds.

A lock is for one blob, or for all whose names begin with a prefix that ends in `/`: a generation
of packs is locked, and its lock extended, in one row, however many packs it has. The state of the
container says whether locks bind:

    Disabled   they are only written down
    Unlocked   they bind; the account key may release one, or disable them all
    Locked     they bind, and so for ever: no verb shortens one, releases one or leaves this state

A hold binds in every state, for as long as it is there. Source of the states: Azure, "Immutable
vault"; of the code of a refusal: Azure Blob Storage, BlobImmutableDueToPolicy.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from whenever import Instant

from strongroom.model.errors import Invalid, Locked
from strongroom.storage.basis.blob import Blob
from strongroom.storage.basis.names import ancestors, checked_blob
from strongroom.storage.ledger.identifiers import checked_identifier
from strongroom.storage.ledger.ledger import Ledger, instant_of, micros_of
from strongroom.storage.ledger.lock_clock import LockClock

State = Literal["Disabled", "Unlocked", "Locked"]  # each binds more than the one before
MOST_DAYS = 36_600  # a century
MOST_HOLDS = 1000  # a container


@dataclass(frozen=True, slots=True)
class Immutability:
    """Of a container. `days`: so long a blob stays from its creation, whatever else is said."""

    state: State = "Disabled"
    days: int = 0


@dataclass(frozen=True, slots=True)
class Lock:
    """What keeps a name: `until` is the latest of all locks that meet it, binding or not."""

    state: State
    until: Instant | None
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """Of a container: its immutability, name -> until, (name, id) of each hold."""

    immutability: Immutability
    locks: dict[str, Instant]
    holds: list[tuple[str, str]]


class Follower(Protocol):
    """Who keeps by other means what is kept here (native.py)."""

    woken: threading.Event

    def mark(self, connection: sqlite3.Connection, container: str, names: Sequence[str]) -> None:
        """Within the transaction that changes what keeps these names."""
        ...


class Locks:
    """All of them, in the ledger. Thread-safe as the ledger is."""

    def __init__(self, ledger: Ledger, clock: LockClock) -> None:
        self._ledger = ledger
        self.clock = clock
        self.native: Follower | None = None

    def immutability(self, container: str) -> Immutability:
        """Raises ObjectMissing (ContainerNotFound)."""
        self._ledger.container(container)
        with self._ledger.reading() as connection:
            return _immutability(connection, container)

    def set_immutability(self, container: str, wanted: Immutability) -> None:
        """Raises Locked when it is Locked and less is wanted, Invalid or ObjectMissing."""
        self._ledger.container(container)
        if wanted.state not in get_args(State) or not 0 <= wanted.days <= MOST_DAYS:
            raise Invalid(
                f"immutability is Disabled, Unlocked or Locked, with 0 to {MOST_DAYS} days",
                code="InvalidHeaderValue",
            )
        with self._changing(container, [""]) as connection:
            now = _immutability(connection, container)
            if now.state == "Locked" and (wanted.state != "Locked" or wanted.days < now.days):
                raise _is_locked(container)
            connection.execute(
                "INSERT INTO immutability VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                "state = excluded.state, days = excluded.days",
                [container, wanted.state, wanted.days],
            )

    def extend(self, container: str, names: Sequence[str], until: Instant) -> list[Lock]:
        """At least until then; one that lasts longer stays. Answers what the ledger holds now.

        A name may be locked before its blob is put: then there is no moment between the two.
        """
        self._ledger.container(container)
        rows = [[container, checked_lockable(name), micros_of(until)] for name in names]
        with self._changing(container, names) as connection:
            connection.executemany(
                "INSERT INTO locks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                "until = max(until, excluded.until)",
                rows,
            )
        return [self.of(container, name) for name in names]

    def release(self, container: str, name: str) -> None:
        """Take the lock of exactly this name away. Raises Locked where all is Locked."""
        self._ledger.container(container)
        with self._ledger.writing() as connection:
            if _immutability(connection, container).state == "Locked":
                raise _is_locked(container)
            connection.execute(
                "DELETE FROM locks WHERE container = ? AND name = ?", [container, name]
            )

    def hold(self, container: str, name: str, identifier: str) -> None:
        """From here on nothing of it is deleted, until this hold is lifted; safe twice."""
        self._ledger.container(container)
        checked_lockable(name)
        checked_identifier(identifier)
        with self._changing(container, [name]) as connection:
            query = "SELECT count(*) FROM holds WHERE container = ?"
            if connection.execute(query, [container]).fetchone()[0] >= MOST_HOLDS:
                raise Invalid(f"a container has at most {MOST_HOLDS} holds")
            connection.execute(
                "INSERT INTO holds VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [container, name, identifier],
            )

    def lift(self, container: str, name: str, identifier: str) -> None:
        """The reverse; one that is gone is as good."""
        self._ledger.container(container)
        with self._changing(container, [name]) as connection:
            connection.execute(
                "DELETE FROM holds WHERE container = ? AND name = ? AND id = ?",
                [container, name, identifier],
            )

    def of(self, container: str, name: str, created: Instant | None = None) -> Lock:
        """What meets this name; with the time when a blob was created also what that gives it."""
        with self._ledger.reading() as connection:
            return _lock(connection, container, name, created)

    def book(self, container: str) -> Book:
        """All that is written down of a container. Raises ObjectMissing."""
        found = self.immutability(container)
        with self._ledger.reading() as connection:
            locks = connection.execute(
                "SELECT name, until FROM locks WHERE container = ? ORDER BY name", [container]
            ).fetchall()
            holds = connection.execute(
                "SELECT name, id FROM holds WHERE container = ? ORDER BY name, id", [container]
            ).fetchall()
        return Book(found, {name: instant_of(until) for name, until in locks}, holds)

    @contextmanager
    def _changing(self, container: str, names: Sequence[str]) -> Iterator[sqlite3.Connection]:
        """One transaction; who follows is told in it, and woken after it."""
        with self._ledger.writing() as connection:
            yield connection
            if self.native is not None:
                self.native.mark(connection, container, names)
        if self.native is not None:
            self.native.woken.set()

    def refuse(self, connection: sqlite3.Connection, blob: Blob) -> None:
        """Raise Locked (BlobImmutableDueToPolicy) when it may not be deleted now.

        Asked in the transaction that would delete it.
        """
        lock = _lock(connection, blob.container, blob.name, blob.created)
        if lock.holds:
            raise Locked(
                f"the blob is held by {len(lock.holds)} legal hold(s)",
                hint="It can be deleted once every hold is lifted.",
            )
        binds = lock.state != "Disabled" and lock.until is not None
        if binds and lock.until is not None and lock.until > self.clock.earliest():
            until = lock.until.format_iso()
            raise Locked(
                f"the blob is locked until {until}",
                hint="It can be deleted from then on.",
                facts={"until": until},
            )


def checked_lockable(name: str) -> str:
    """A blob's name, or a prefix that ends in `/`. Raises Invalid."""
    checked_blob(name.removesuffix("/"))
    return name


def _lock(
    connection: sqlite3.Connection, container: str, name: str, created: Instant | None
) -> Lock:
    names = [name, *(f"{above}/" for above in ancestors(name.removesuffix("/")))]
    marks = ",".join("?" * len(names))
    found = _immutability(connection, container)
    query = f"SELECT max(until) FROM locks WHERE container = ? AND name IN ({marks})"  # noqa: S608
    latest = connection.execute(query, [container, *names]).fetchone()[0]
    ends = [] if latest is None else [instant_of(latest)]
    if created is not None and found.days:
        ends.append(created.add(hours=24 * found.days))
    query = f"SELECT DISTINCT id FROM holds WHERE container = ? AND name IN ({marks}) ORDER BY id"  # noqa: S608
    holds = tuple(row[0] for row in connection.execute(query, [container, *names]))
    return Lock(found.state, max(ends, default=None), holds)


def _immutability(connection: sqlite3.Connection, container: str) -> Immutability:
    query = "SELECT state, days FROM immutability WHERE container = ?"
    row = connection.execute(query, [container]).fetchone()
    return Immutability() if row is None else Immutability(*row)


def _is_locked(container: str) -> Locked:
    return Locked(
        f"the immutability of container {container} is locked",
        code="ContainerImmutabilityLocked",
        hint="It can be extended, never shortened or taken away: that is what it is for.",
    )
