"""A second endpoint fills itself from the first: it asks, with a key that can only read there.

Locks and holds come before the blobs that they keep. No lock is shortened by a pull: whoever owns
the first endpoint can add here, and take back nothing in a hurry. What is gone there is noted, and
deleted here once it has been gone for so many days, unless a lock or a hold of this store's own
book keeps it; a hold that came from there is lifted here once it has been lifted there for as
long. What is damaged here is fetched anew. Bytes are compared with the digest of what was written
there, before they have a name.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args

import structlog
from whenever import Instant

from strongroom.model.errors import (
    Corrupt,
    Invalid,
    Locked,
    ObjectExists,
    ObjectMissing,
    StoreUnavailable,
    VaultError,
)
from strongroom.model.seams import Clock
from strongroom.storage.basis.blob import Asked, Facts
from strongroom.storage.basis.names import checked_blob, checked_container
from strongroom.storage.basis.settings import PullSettings
from strongroom.storage.blobs.store import BlobStore
from strongroom.storage.blobs.upload import Upload
from strongroom.storage.ledger.locks import Immutability, State
from strongroom.storage.upkeep.source import Listed, RemoteBook, Source

_PAGE = 5000
_COUNTS = ("behindObjects", "behindBytes", "goneObjects", "differing", "damagedObjects")

_log = structlog.get_logger("strongroom.storage")


class Pull:
    """A thread beside the endpoint, for as long as the store is open."""

    def __init__(
        self, store: BlobStore, source: Source, settings: PullSettings, clock: Clock
    ) -> None:
        self._store = store
        self._source = source
        self._settings = settings
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pull", daemon=True)
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Give up the blob that is being fetched: the next pass begins with it again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def told(self) -> dict[str, Any]:
        """How far behind it is. All that was there `lagSeconds` ago is here; None: not yet."""
        upto = self._store.copies.pulled_upto()
        lag = None if upto is None else round((self._clock.now() - upto).total("seconds"))
        return {
            "lagSeconds": lag,
            "upTo": None if upto is None else upto.format_iso(),
            **self._counts,
            "error": self._error,
        }

    def look(self) -> None:
        """One pass over everything. Raises StoreError when it cannot be finished."""
        began = self._clock.now()
        counts = dict.fromkeys(_COUNTS, 0)
        there = [checked_container(name) for name in self._source.containers()]
        for name in sorted({*there, *self._own_containers()}):
            try:
                self._container(name, counts, exists=name in there)
            except ObjectMissing:  # it went while we looked: the next pass sees it
                continue
            finally:
                self._counts = counts
        if not any(counts[each] for each in ("behindObjects", "differing", "damagedObjects")):
            self._store.copies.note_pulled(began)

    def _own_containers(self) -> list[str]:
        return [each.name for each in self._store.containers(Asked(limit=1 << 20))]

    def _container(self, container: str, counts: dict[str, int], *, exists: bool) -> None:
        wanted: dict[str, Listed] = {}
        if exists:
            self._keep(container, self._source.book(container))
            wanted = {blob.name: blob for blob in self._source.blobs(container)}
        here = self._names(container)
        missing = [blob for name, blob in wanted.items() if name not in here]
        counts["behindObjects"] += len(missing)
        counts["behindBytes"] += sum(blob.size for blob in missing)
        for name in wanted.keys() & here.keys():
            if here[name] != wanted[name].blake3:
                counts["differing"] += 1
                _log.error("pull_differs", container=container, name=name)
        for blob in missing:
            if self._fetch(container, blob):
                counts["behindObjects"] -= 1
                counts["behindBytes"] -= blob.size
        for name in self._store.looking.damaged(container):
            counts["damagedObjects"] += not self._mend(container, name)
        counts["goneObjects"] += self._let_go(container, here.keys() - wanted.keys())

    def _names(self, container: str) -> dict[str, str]:
        found: dict[str, str] = {}
        after: str | None = ""
        while after is not None:
            page = self._store.page(container, Asked(after=after, limit=_PAGE))
            found |= {blob.name: blob.blake3.hex() for blob in page.blobs}
            after = page.after
        return found

    def _keep(self, container: str, book: RemoteBook) -> None:
        """What keeps it there keeps it here, from now on by our own book."""
        with suppress(ObjectExists):
            self._store.create_container(container, {})
        locks = self._store.locks
        mine = locks.immutability(container)
        state = max(mine.state, book.state, key=get_args(State).index)  # each binds more
        strongest = Immutability(state, max(mine.days, book.days))
        if strongest != mine:
            locks.set_immutability(container, strongest)
        known = locks.book(container)
        for name, until in book.locks.items():
            ends = Instant.parse_iso(until)
            if name not in known.locks or known.locks[name] < ends:
                locks.extend(container, [name], ends)
        self._keep_holds(container, {*book.holds}, {*known.holds})

    def _keep_holds(
        self, container: str, there: set[tuple[str, str]], here: set[tuple[str, str]]
    ) -> None:
        """A hold of this store's own, which no pull has brought, is not a pull's to lift."""
        now, copies, locks = self._clock.now(), self._store.copies, self._store.locks
        copies.note_brought(container, there - here)
        for name, identifier in there - here:
            locks.hold(container, name, identifier)
        copies.note_lifted(container, there, now)
        for hold in copies.lifted_since(container, self._long_ago(now)):
            locks.lift(container, *hold)
            copies.forget_brought(container, hold)
            _log.info(
                "hold_lifted", container=container, prefix=hold[0], hold=hold[1], caller="pull"
            )

    def _long_ago(self, now: Instant) -> Instant:
        return now.subtract(seconds=self._settings.keep_days * 86_400)

    def _fetch(self, container: str, blob: Listed) -> bool:
        """Whether it is here now; one that is damaged there, or went meanwhile, is not."""
        checked_blob(blob.name)
        upload = self._store.begin(container, blob.name, blob.size)
        try:
            for piece in self._pieces(container, blob.name):
                upload.write([piece])
            _check(upload, blob)
            self._store.commit(upload, Facts())
        except (Corrupt, Invalid, ObjectMissing) as error:  # Invalid: longer than was listed
            _log.error("pull_failed", container=container, name=blob.name, reason=error.message)
            return False
        finally:
            upload.abandon()
        return True

    def _mend(self, container: str, name: str) -> bool:
        """Whether a blob that is damaged here is what was written once more."""
        try:
            self._store.mending.mend(container, name, self._pieces(container, name))
        except (Corrupt, Invalid, Locked, ObjectMissing) as error:
            _log.error("mend_failed", container=container, name=name, reason=error.message)
            return False
        _log.warning("blob_mended", container=container, name=name)
        return True

    def _pieces(self, container: str, name: str) -> Iterator[bytes]:
        for piece in self._source.read(container, name):
            if self._stopping.is_set():
                raise StoreUnavailable("the store is stopping")
            yield piece

    def _let_go(self, container: str, gone: set[str]) -> int:
        """Note what is gone there, and delete what has been so for long; how many are left."""
        now, copies = self._clock.now(), self._store.copies
        copies.note_gone(container, gone, now)
        deleted = 0
        for name in copies.gone_since(container, self._long_ago(now)):
            try:
                self._store.delete(container, name, "pull")
            except Locked:
                continue
            deleted += 1
            _log.info("blob_deleted", container=container, name=name, caller="pull")
        return len(gone) - deleted

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._attempt()
            self._stopping.wait(self._settings.every_seconds)

    def _attempt(self) -> None:
        try:
            self.look()
        except VaultError as error:
            self._error = error.message
            if not self._stopping.is_set():
                _log.warning("pull_broken_off", reason=error.message)
        except Exception:  # noqa: BLE001 - a thread's top is a door: a bug must not end the pull unseen
            self._error = "a bug: see the log"
            _log.exception("bug", thread="pull")
        else:
            self._error = ""


def _check(upload: Upload, blob: Listed) -> None:
    if upload.incoming.blake3.hex() != blob.blake3:
        raise Corrupt("its bytes are not those that were written")
