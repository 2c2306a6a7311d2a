"""The stored bytes of one pack, while it is read."""

from blake3 import blake3

from strongroom.datastore.maps.manifest import PackFacts
from strongroom.datastore.places.blobs import Blobs
from strongroom.model.errors import Corrupt, WrongKey


class StoredPack:
    """The bytes of one pack: those that were loaded at once, others by a request each."""

    def __init__(self, blobs: Blobs, facts: PackFacts) -> None:
        self._blobs = blobs
        self._facts = facts
        self._loaded = memoryview(b"")
        self._start = 0
        self.fetched = 0

    def load(self, start: int, length: int) -> None:
        """Keep one stretch; the one before is let go."""
        self._loaded = memoryview(b"")
        self._loaded, self._start = memoryview(self._request(start, length)), start

    def holds(self, start: int, length: int) -> bool:
        """Whether that stretch is kept."""
        return self._start <= start and start + length <= self._start + len(self._loaded)

    def load_whole(self) -> None:
        """Keep all of it, compared with the size and the BLAKE3 that the manifest states."""
        self.load_all()
        if (error := self.wrong()) is not None:
            raise error

    def load_all(self) -> None:
        """Keep all of it, as long as it was; Corrupt when it is not."""
        facts = self._facts
        self.load(0, facts.size + 1)
        if len(self._loaded) != facts.size:
            how = "cut off" if len(self._loaded) < facts.size else "longer than it was"
            raise Corrupt(f"pack {facts.pack_id} is {how}")

    def wrong(self) -> Corrupt | None:
        """What is loaded is not what the manifest states; None when it is."""
        if blake3(self._loaded).digest() == self._facts.blake3:
            return None
        return Corrupt(f"pack {self._facts.pack_id} is not what was written")

    def fetch(self, start: int, length: int) -> bytes | memoryview:
        """`length` bytes from `start`, fewer only where the object ends."""
        if self.holds(start, length):
            offset = start - self._start
            return self._loaded[offset : offset + length]
        return self._request(start, length)

    def _request(self, start: int, length: int) -> bytes:
        found = self._blobs.read_range(self._facts.name, start, length)
        self.fetched += len(found)
        return found


def no_key_of(facts: PackFacts) -> WrongKey:
    """It is needed, and the keys of its point came without its own (session.py)."""
    return WrongKey(
        f"no key was given for pack {facts.pack_id}",
        hint="It is gone, damaged, or sealed to a key that is lost: `strongroom verify` tells "
        "what is lost with it. Restore from another recovery point.",
    )
