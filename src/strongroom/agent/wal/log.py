"""Fetch the log that a recovery replays, ahead of it: packs side by side, segments in order.

Keys and names come a few packs at a time, sealed to a key pair that is made for this recovery and
lives in memory alone.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import structlog
from blake3 import blake3

from strongroom.agent.held_lease import HeldLease
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.packs.wal_pack import WAL_FRAME, open_log_into, open_log_keys
from strongroom.datastore.places.blobs import Blobs
from strongroom.model.errors import Corrupt, Precondition, VaultError
from strongroom.model.postgres import Lsn, Timeline, lsn_to_text
from strongroom.model.seams import Chance
from strongroom.model.wal import Recovery, WalHistory, WalPack, WalRequest
from strongroom.postgres.log.wal_source import forks_of
from strongroom.postgres.log.walstream import segment_name
from strongroom.postgres.restore.wal_recovery import LogPlace

AHEAD = 32  # segments that wait to be replayed
_SIDE_BY_SIDE = 3
_AT_ONCE = 64  # packs whose keys are asked for together
_PAUSE = 0.05
_FOLLOW_SECONDS = 1.0  # between looks for what has come
FOLLOWED = 1 << 62  # the end of a stretch that is still being written
_END = 1 << 63


class _OverError(Exception):
    """Nobody recovers any more."""


class WalLog:
    """The log of one recovery."""

    def __init__(self, held: HeldLease, recovery: Recovery, blobs: Blobs, chance: Chance) -> None:
        self._held = held
        self._recovery = recovery
        self._blobs = blobs
        self._session = KeyPair.generate(chance)
        self._stopped = threading.Event()
        self._next: WalHistory | None = None  # what a timeline that was followed has become
        self._at = 0  # how far it was
        self._rooms: list[bytearray] = []  # free ones
        self.fetched = 0

    def fill(self, place: LogPlace, ahead: int = _END) -> None:
        """All of it, in order; no more than `ahead` segments wait in the place.

        Raises Corrupt for a hole or a pack that is not what was written, StoreError, LeaseLost,
        Cancelled. Where the place has gone, recovery is over, and so is this.
        """
        try:
            for timeline, start, end in self._recovery.timelines:
                self._fill_timeline(place, ahead, timeline, start, end)
            while self._recovery.follow:
                timeline, start = self._go_on(place, timeline)
                self._fill_timeline(place, ahead, timeline, start, FOLLOWED)
            place.end("complete")
        except _OverError:
            return
        except FileNotFoundError:
            if place.exists:
                raise

    @contextmanager
    def served(self, directory: Path) -> Iterator[None]:
        """Within: a server in `directory` finds the log as it asks for it.

        Nothing of it is synced but what a standby gets, which outlives this process.
        """
        place = LogPlace(directory, lasting=self._recovery.follow)
        failed: list[VaultError] = []

        def work() -> None:
            try:
                self.fill(place, AHEAD)
            except VaultError as error:
                failed.append(error)
                place.end("failed")
                log = structlog.get_logger("strongroom.agent")
                log.warning("the log of a recovery ended", why=error.message)

        thread = threading.Thread(target=work, name="wal-log", daemon=True)
        with self._held.when_stopped(lambda: place.end("failed")):
            thread.start()
            try:
                yield
            except VaultError as error:
                self._stopped.set()
                thread.join()
                raise failed[0] if failed else error from error
            finally:
                self._stopped.set()
                thread.join()
        place.remove()

    def _fill_timeline(
        self, place: LogPlace, ahead: int, timeline: int, start: int, end: int
    ) -> None:
        size = self._recovery.segment_size
        segment, filled, position = memoryview(bytearray(size)), 0, start

        def leave(content: memoryview) -> None:
            name = segment_name(Timeline(timeline), Lsn(position - filled), size)
            place.put(name, content)

        for pack, raw in self._packs(timeline, start, end):
            self._held.check()
            if pack.start > position:
                raise Corrupt(
                    f"the log from {lsn_to_text(Lsn(position))} of timeline {timeline} is missing",
                    hint="Restore an earlier moment, or a recovery point.",
                )
            view = raw[position - pack.start : end - pack.start]
            while len(view):
                part = view[: size - filled]
                whole = part if len(part) == size else segment
                if whole is segment:
                    segment[filled : filled + len(part)] = part
                view = view[len(part) :]
                filled, position = filled + len(part), position + len(part)
                if filled == size:
                    self._await_room(place, ahead)
                    leave(whole)
                    filled = 0
            if filled and self._recovery.follow and end == FOLLOWED:
                segment[filled:] = bytes(size - filled)
                leave(segment)
        if filled:
            segment[filled:] = bytes(size - filled)
            leave(segment)
        self._at = position
        if position < end < FOLLOWED:
            raise Corrupt(f"the log of timeline {timeline} ends before {lsn_to_text(Lsn(end))}")

    def _go_on(self, place: LogPlace, timeline: int) -> tuple[int, int]:
        """To what was begun where the timeline that was followed was left: (which, from)."""
        found = self._next
        if found is None:
            raise Corrupt("a timeline without an end has ended")
        forks = dict(forks_of(found.text))
        line, left = [*forks, found.timeline], forks[Timeline(timeline)]
        after = line[line.index(timeline) + 1]
        told = f"timeline {after} began at {lsn_to_text(left)}"
        if self._at < left:
            missing = lsn_to_text(Lsn(self._at))
            raise Corrupt(f"{told}, and the log before it, from {missing}, is missing")
        if self._at > left:
            raise Precondition(
                f"{told}, and this server has replayed what was written elsewhere after that",
                hint="Make a new standby: strongroom restore NAME --standby --start.",
            )
        place.put_history(found.timeline, found.text)
        self._next = None
        return after, left - left % self._recovery.segment_size

    def _await_room(self, place: LogPlace, ahead: int) -> None:
        while not self._stopped.is_set() and place.ahead() >= ahead:
            self._held.check()
            self._stopped.wait(_PAUSE)
        if self._stopped.is_set():
            raise _OverError

    def _packs(self, timeline: int, start: int, end: int) -> Iterator[tuple[WalPack, memoryview]]:
        """Opened, in order; the next ones are fetched meanwhile. Each holds till the next."""
        waiting: deque[tuple[WalPack, Future[bytearray]]] = deque()

        def oldest() -> Iterator[tuple[WalPack, memoryview]]:
            pack, future = waiting.popleft()
            room = future.result()
            yield pack, memoryview(room)[: pack.end - pack.start]
            self._rooms.append(room)

        with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="wal") as pool:
            try:
                for pack, key in self._known(timeline, start, end):
                    waiting.append((pack, pool.submit(self._open, pack, key)))
                    # What follows waits for no other: there may be none for long.
                    if len(waiting) > (0 if end == FOLLOWED else _SIDE_BY_SIDE):
                        yield from oldest()
                while waiting:
                    yield from oldest()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _known(self, timeline: int, start: int, end: int) -> Iterator[tuple[WalPack, bytes]]:
        held = self._held
        while start < end:
            request = WalRequest(
                epoch=held.lease.epoch,
                session_public_key=self._session.public.to_bytes(),
                timeline=timeline,
                start=start,
                most=_AT_ONCE,
            )
            kept = held.client.wal_keys(held.lease.operation_id, request, held.pause)
            keys = open_log_keys(self._session, held.lease.operation_id, kept.sealed)
            if not kept.packs:
                if end != FOLLOWED:
                    return
                if kept.histories:
                    self._next = kept.histories[-1]
                    return
                held.pause(_FOLLOW_SECONDS)
                if self._stopped.is_set():
                    raise _OverError
                continue
            for pack in kept.packs:
                yield pack, keys[pack.name]
            start = max(start + 1, kept.packs[-1].end)

    def _open(self, pack: WalPack, key: bytes) -> bytearray:
        """Its log, at the beginning of a room that is used again: new memory is cleared first."""
        self._held.check()
        stored = self._blobs.read(pack.name)
        if (len(stored), blake3(stored).digest()) != (pack.size, pack.blake3):
            raise Corrupt(f"{pack.name} is not what was written")
        self.fetched += len(stored)
        try:
            room = self._rooms.pop()
        except IndexError:
            room = bytearray(WAL_FRAME)
        open_log_into(room, stored, key, pack.start, pack.end - pack.start)
        return room
