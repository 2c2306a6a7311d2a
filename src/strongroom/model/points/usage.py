"""What lies in storage, counted: of each point what it needs alone, and what it shares."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from whenever import Instant


@dataclass(frozen=True, slots=True)
class Share:
    """Stored bytes that one point needs. `unique`: nobody else does, they go with it."""

    unique: int
    shared: int


class Tally:
    """Points are added one by one, so that no two lists of packs are in memory at once."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._alone: dict[str, str] = {}  # pack -> the one point that needs it
        self._whole: dict[str, int] = {}

    def add(self, point: str, packs: Iterable[tuple[str, int]]) -> None:
        """A point and (name, stored bytes) of each pack that it needs, none of them twice."""
        whole = 0
        for name, size in packs:
            whole += size
            if name in self._sizes:
                self._alone.pop(name, None)
            else:
                self._sizes[name], self._alone[name] = size, point
        self._whole[point] = whole

    def needed(self) -> int:
        """Bytes that any of them needs, each once."""
        return sum(self._sizes.values())

    def names(self) -> set[str]:
        """Packs that any of them needs."""
        return set(self._sizes)

    def shares(self) -> dict[str, Share]:
        """Of each point."""
        unique = dict.fromkeys(self._whole, 0)
        for name, point in self._alone.items():
            unique[point] += self._sizes[name]
        return {
            point: Share(unique[point], whole - unique[point])
            for point, whole in self._whole.items()
        }


class Usage(msgspec.Struct, kw_only=True, frozen=True):
    """One instance at the end of a UTC day, or as it was last measured on it. Stored bytes.

    points_bytes: packs that points need, each once; unique_bytes: of these, that one alone needs.
    log_bytes: write-ahead log. waiting_bytes: what nobody needs, and is still to be collected.
    full_bytes: the points as full copies, compressed as they are. server_bytes: the server's size.
    """

    instance_id: str
    day: str  # 2026-11-27
    at: Instant
    stored_bytes: int
    points_bytes: int
    unique_bytes: int
    log_bytes: int
    waiting_bytes: int
    full_bytes: int
    server_bytes: int

    @property
    def other_bytes(self) -> int:
        """Maps, receipts, keys and evidence."""
        return self.stored_bytes - self.points_bytes - self.log_bytes - self.waiting_bytes
