"""Blobs are read again: when they have come, when somebody asks, and in turn.

A backup is committed when each of its blobs was read again. Of a large one that would take as long
as to read it all, after the last byte has come; so each blob is looked at when it lies on disk,
while others come, and the finding is kept in memory for who asks first
(docs/decisions/0234).
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple

import structlog
from whenever import Instant

from strongroom.model.errors import ObjectMissing, StoreUnavailable, VaultError
from strongroom.model.seams import Clock
from strongroom.storage.back_ends.placement import Placement
from strongroom.storage.basis.blob import Blob, Finding
from strongroom.storage.blobs.rereading import at_once, reread
from strongroom.storage.ledger.ledger import Ledger

_REMOTE_READS, _LOCAL_READS = 8, 2  # side by side: a provider is far away, a disk is not
_WORTH_IT = 1 << 20  # bytes, from which on a look takes longer than to ask for it
_MOST_KEPT = 65_536  # looks whose finding nobody has asked for
_MOST_WAITING = 1_024  # looks that have not begun: the disk does not keep up, and is left alone
_log = structlog.get_logger("strongroom.storage")


class _Look(NamedTuple):
    """A blob, made then, was found whole by a look that began then."""

    created: Instant
    at: Instant


class Looking:
    """Of one store. `holding` holds a blob's name."""

    def __init__(
        self,
        ledger: Ledger,
        placement: Placement,
        clock: Clock,
        holding: Callable[[str, str], AbstractContextManager[None]],
        *,
        is_remote: bool,
    ) -> None:
        self._ledger = ledger
        self._placement = placement
        self._clock = clock
        self._holding = holding
        self._is_remote = is_remote
        self._stopping = threading.Event()
        self._at_once = _REMOTE_READS if is_remote else _LOCAL_READS
        self._pool = ThreadPoolExecutor(self._at_once // 2, thread_name_prefix="look")
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, str], Future[None]] = {}
        self._found: OrderedDict[tuple[str, str], _Look] = OrderedDict()

    def stop(self) -> None:
        """Begin no further look: it is the one thing that takes long."""
        self._stopping.set()

    def close(self) -> None:
        """No thread is left. Safe twice."""
        self.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def begin(self, blob: Blob) -> None:
        """Look at a blob that has just come, soon: unless too many wait for it already."""
        if blob.size < _WORTH_IT or self._stopping.is_set():
            return
        key = blob.container, blob.name
        with self._lock:
            if len(self._under_way) < _MOST_WAITING:
                self._under_way[key] = self._pool.submit(self._look_early, blob)

    def digests(
        self, container: str, names: Sequence[str], since: Instant | None = None
    ) -> list[Finding]:
        """The bytes of each named blob are read again where they lie, now.

        `since`: a blob that was found whole since then is not read once more.
        """
        self._ledger.container(container)
        with ThreadPoolExecutor(self._at_once) as pool:
            findings = list(pool.map(functools.partial(self._told, container, since), names))
        known = set(self._ledger.corrupt(container))
        for finding in findings:
            if finding.state == "corrupt" or finding.name in known:
                self._ledger.note_checked(finding, self._clock.now())
        return findings

    def damaged(self, container: str) -> list[str]:
        """Names of blobs whose bytes were found to be others than were written."""
        self._ledger.container(container)
        return self._ledger.corrupt(container)

    def is_behind(self, before: Instant) -> bool:
        """Whether any blob was neither written nor looked at since then."""
        return bool(self._ledger.least_recently_checked(1, before))

    def scrub(
        self,
        limit: int,
        before: Instant | None = None,
        pace: Callable[[int], None] = at_once,
    ) -> list[Finding]:
        """Re-read the `limit` blobs that were not looked at for the longest, and note it.

        Only those that were neither written nor looked at since `before`, if that is given.
        """
        findings = []
        for blob in self._ledger.least_recently_checked(limit, before):
            finding = self._look(blob.container, blob.name, pace)
            findings.append(finding)
            self._ledger.note_checked(finding, self._clock.now())
        return findings

    def _look_early(self, blob: Blob) -> None:
        key, at = (blob.container, blob.name), self._clock.now()
        try:
            finding = self._look(*key)
            if finding.state == "corrupt":
                self._ledger.note_checked(finding, self._clock.now())
            elif finding.state == "ok":
                kept = self._ledger.blob(*key)  # its time of making is rounded there
                self._keep(key, _Look(kept.created, at))
        except VaultError as error:  # who asks for it will be told
            if not self._stopping.is_set():
                _log.warning("early_look_failed", name=blob.name, reason=error.message)
        except Exception:  # noqa: BLE001 - a thread's top is a door: who asks has the blob read once more
            _log.exception("bug", thread="look")
        finally:
            with self._lock:
                self._under_way.pop(key, None)

    def _keep(self, key: tuple[str, str], look: "_Look") -> None:
        with self._lock:
            self._found[key] = look
            if len(self._found) > _MOST_KEPT:
                self._found.popitem(last=False)

    def _told(self, container: str, since: Instant | None, name: str) -> Finding:
        found = self._found_since(container, name, since) if since is not None else None
        return found or self._look(container, name)

    def _found_since(self, container: str, name: str, since: Instant) -> Finding | None:
        with self._lock:
            under_way = self._under_way.get((container, name))
        if under_way is not None:
            wait([under_way])
        with self._lock:
            look = self._found.pop((container, name), None)
        if look is None or look.at < since:
            return None
        with suppress(ObjectMissing):
            blob = self._ledger.blob(container, name)
            if blob.created == look.created:
                return Finding(
                    container=container, name=name, state="ok", size=blob.size, blake3=blob.blake3
                )
        return None

    def _look(self, container: str, name: str, pace: Callable[[int], None] = at_once) -> Finding:
        if self._stopping.is_set():
            raise StoreUnavailable("the store is stopping")
        try:
            blob = self._ledger.blob(container, name)
        except ObjectMissing:
            return Finding(container=container, name=name, state="missing")
        if self._is_remote and blob.incoming is not None:  # what lies there is what counts
            with self._holding(container, name):
                self._placement.finish(blob)
            blob = self._ledger.blob(container, name)
            if blob.incoming is not None:
                raise StoreUnavailable("the back end does not have the blob yet")
        reading = self._placement.open(blob, afresh=True)
        if reading is None:
            finding = Finding(container=container, name=name, state="corrupt")
        else:
            try:
                finding = reread(blob, reading, pace)
            finally:
                reading.close()
        if finding.state == "corrupt":
            _log.error("blob_corrupt", container=container, name=name, size=finding.size)
        return finding
