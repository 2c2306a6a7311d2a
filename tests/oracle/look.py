"""A world that is watched, what is remembered of it between checks, and one look at it."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from blake3 import blake3
from cryptography.exceptions import InvalidSignature

import second_reader
from oracle.book import Book
from oracle.doors import Door, Entry
from oracle.hosts import Host

Named = tuple[str, str]  # (container, name)


@dataclass(frozen=True)
class Receipt:
    """A signed statement whose signature holds."""

    container: str
    point: str
    body: Mapping[str, Any]

    @property
    def taken_at(self) -> datetime:
        return datetime.fromisoformat(self.body["taken_at"])

    @property
    def expires_at(self) -> datetime:
        return datetime.fromisoformat(self.body["expires_at"])

    def named(self) -> dict[str, Entry]:
        """Manifest and packs, as the receipt states them."""
        found = {
            f"p/{self.point}.manifest": Entry(
                self.body["manifest_size"], base64.b64decode(self.body["manifest_blake3"])
            )
        }
        for pack in self.body["packs"]:
            found[pack["name"]] = Entry(pack["size"], base64.b64decode(pack["blake3"]))
        return found


@dataclass(frozen=True)
class Form:
    """A world without what chance makes of it: its trees by point, and how its jobs ended."""

    points: dict[str, str]  # point -> digest of the restored tree
    jobs: dict[str, str]

    @property
    def trees(self) -> frozenset[str]:
        return frozenset(self.points.values())


@dataclass
class Memory:
    """What has been seen once and must stay so."""

    digests: dict[Named, bytes] = field(default_factory=dict)
    receipts: dict[Named, Receipt] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)  # job -> terminal status
    expires: dict[str, int] = field(default_factory=dict)  # point -> microseconds, in the row
    durations: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    locks: dict[str, dict[str, datetime]] = field(default_factory=dict)  # by container
    whole: dict[str, str] = field(default_factory=dict)  # point -> digest of its restored tree


@dataclass(kw_only=True)
class Watched:
    """The doors of one world. `recovery` is the text of a recovery key file.

    `trees`: point -> path -> content, as recorded at the backup; a point that is not in it is held
    against PostgreSQL's own manifest. `altered`: what the test itself has spoiled. `scrub` and
    `reader` are the product's: names that are found damaged, whether a point reads. `durations`:
    tag -> ISO 8601, where there is no catalogue to tell. `expected`: the form that the world had
    before a step was repeated. `most_restores`: how many of the newest points a deep look
    restores; None is all of them.
    """

    containers: Callable[[], Mapping[str, Door]]
    recovery: str
    now: Callable[[], datetime]
    scrub: Callable[[Door, str], set[str]]
    reader: Callable[[Door, str], bool]
    book: Callable[[], Book] | None = None
    host: Host | None = None
    trees: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    altered: set[Named] = field(default_factory=set)
    durations: dict[str, str] = field(default_factory=dict)
    expected: Form | None = None
    most_restores: int | None = None
    memory: Memory = field(default_factory=Memory)

    def look(self, *, deep: bool) -> "Look":
        """The catalogue first, storage after it: storage only grows, so it is never behind."""
        book = self.book() if self.book is not None else None
        doors = dict(self.containers())
        return Look(self, book, doors, {name: door.listed() for name, door in doors.items()}, deep)


class Look:
    """One look at a world: what every invariant is asked of."""

    def __init__(
        self,
        watched: Watched,
        book: Book | None,
        doors: dict[str, Door],
        listed: dict[str, dict[str, Entry]],
        deep: bool,
    ) -> None:
        self.watched, self.book, self.doors, self.listed = watched, book, doors, listed
        self.deep = deep
        self.memory = watched.memory
        self.recovery = second_reader.RecoveryKey(watched.recovery)
        self.receipts = {
            receipt.point: receipt
            for container, names in listed.items()
            for name in names
            if name.startswith("p/") and name.endswith(".receipt")
            for receipt in [self._receipt(container, name)]
            if receipt is not None
        }

    def _receipt(self, container: str, name: str) -> Receipt | None:
        known = self.memory.receipts.get((container, name))
        digest = self.listed[container][name].digest
        if known is not None and self.memory.digests.get((container, name)) == digest:
            return known
        stored = self.doors[container].read(name)
        try:
            receipt = _opened(self.recovery, container, name, stored)
        except (ValueError, KeyError, InvalidSignature, second_reader.Unreadable):
            return None
        self.memory.receipts[container, name] = receipt
        return receipt

    def damage(self, receipt: Receipt) -> set[str]:
        """Names that are not what the receipt states. A deep look reads the bytes."""
        names = self.listed[receipt.container]
        found = set()
        for name, stated in receipt.named().items():
            entry = names.get(name)
            if entry is not None and self.deep:
                entry = self._reread(receipt.container, name)
            if entry != stated:
                found.add(name)
        return found

    def _reread(self, container: str, name: str) -> Entry:
        data = self.doors[container].read(name)
        return Entry(len(data), blake3(data).digest())


def _opened(
    recovery: second_reader.RecoveryKey, container: str, name: str, stored: bytes
) -> Receipt:
    told = json.loads(stored)
    second_reader.demand(stored == second_reader.canonical(told), "another form")
    signed = b"strongroom-receipt-1\n" + second_reader.canonical(told["body"])
    recovery.verify.verify(base64.b64decode(told["signature"]), signed)
    point = Path(name).stem
    second_reader.demand(told["body"]["recovery_point_id"] == point, "another point's receipt")
    return Receipt(container, point, told["body"])
