"""Faults: a plan that says which call of which seam fails, and storage that fails as planned."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from strongroom.datastore.places.blobs import Blobs, Bytes
from strongroom.model.errors import ObjectMissing, StoreUnavailable

How = Literal["before", "after", "partial"]


class FaultPlan:
    """Which call of which seam fails, and how: from a seed alone. Counts what has fired.

    A seam is a word (a link of the network, a process). Every call of a seam asks the plan, which
    answers a fault or None; a fault class that never fired has proved nothing.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.calls: Counter[str] = Counter()
        self.fired: Counter[tuple[str, str]] = Counter()
        self._armed: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._lock = threading.Lock()

    def arm(self, seam: str, fault: str, after: int = 0) -> None:
        """The next call of a seam fails, once `after` more have gone well."""
        with self._lock:
            self._armed[seam].append((self.calls[seam] + after, fault))

    def disarm(self) -> None:
        """What has not fired yet will not."""
        with self._lock:
            self._armed.clear()

    def ask(self, seam: str) -> str | None:
        """One call: how it fails, or None."""
        with self._lock:
            number = self.calls[seam]
            self.calls[seam] += 1
            due = [armed for armed in self._armed[seam] if armed[0] <= number]
            if not due:
                return None
            self._armed[seam].remove(due[0])
            self.fired[seam, due[0][1]] += 1
            return due[0][1]


class FaultyBlobs:
    """Call i (from 0, in the order they arrive) fails as `plan[i]` says; all others go through.

    before   nothing is done, the call fails
    after    all is done, and the answer is lost
    partial  create: half of the bytes lie under the name, and the call fails;
             read, read_range: half of the bytes come, and nobody says so (of what is not there the
             answer is lost);
             list: half of the names come, and the call fails;
             size: as `before`
    """

    def __init__(self, inner: Blobs, plan: Mapping[int, How] | None = None) -> None:
        self.inner = inner
        self.plan = dict(plan or {})
        self.calls: list[tuple[str, str]] = []
        self.failed = 0
        self._lock = threading.Lock()

    def _arrive(self, verb: str, name: str) -> How | None:
        with self._lock:
            how = self.plan.get(len(self.calls))
            self.calls.append((verb, name))
            self.failed += how is not None
        return how

    def create(self, name: str, data: Bytes) -> None:
        how = self._arrive("create", name)
        if how == "before":
            raise _lost("create", name)
        self.inner.create(name, data[: len(data) // 2] if how == "partial" else data)
        if how is not None:
            raise _lost("create", name)

    def read(self, name: str) -> bytes:
        how = self._arrive("read", name)
        if how == "before":
            raise _lost("read", name)
        return _answer(how, lambda: self.inner.read(name), name)

    def read_range(self, name: str, start: int, length: int) -> bytes:
        how = self._arrive("read_range", name)
        if how == "before":
            raise _lost("read_range", name)
        return _answer(how, lambda: self.inner.read_range(name, start, length), name)

    def size(self, name: str) -> int:
        how = self._arrive("size", name)
        if how in {"before", "partial"}:
            raise _lost("size", name)
        found = self.inner.size(name)
        if how == "after":
            raise _lost("size", name)
        return found

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        how = self._arrive("list", prefix)
        if how == "before":
            raise _lost("list", prefix)
        found = list(self.inner.list(prefix))
        yield from found[: len(found) // 2] if how == "partial" else found
        if how is not None:
            raise _lost("list", prefix)


def _answer(how: How | None, read: Callable[[], bytes], name: str) -> bytes:
    try:
        found = read()
    except ObjectMissing as missing:  # that is an answer too, and of it there is no half
        if how is not None:
            raise _lost("read", name) from missing
        raise
    if how == "after":
        raise _lost("read", name)
    return found[: len(found) // 2] if how == "partial" else found


def _lost(verb: str, name: str) -> StoreUnavailable:
    return StoreUnavailable(f"{verb} of {name} failed as planned")
