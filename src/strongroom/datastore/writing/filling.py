"""A pack that is being filled: batches of frames in order, as promises of whoever seals them."""

import threading
from concurrent.futures import Future

from strongroom.datastore.maps.page_digests import digests_by, seal_digests
from strongroom.datastore.packs.pack import PackKey
from strongroom.model.postgres import PAGE

Sealed = tuple[list[tuple[bytes, int]], bytes]  # frames with their raw lengths; digests of pages


class FillingPack:
    """What of it is sealed, and how much has come. `index`: among the packs of a writer."""

    def __init__(self, index: int, key: PackKey, frame_size: int, *, digests: bool) -> None:
        """`digests`: of each page (page_digests.py)."""
        self.index = index
        self.key = key
        self.raw_size = 0
        self.stored_size = 0  # of the frames that are sealed so far
        self.frames = 0
        self.batches: list[Future[Sealed]] = []
        self._frame_size = frame_size
        self._digests_of = digests_by(key.secret) if digests else None
        self._lock = threading.Lock()

    def take_numbers(self, length: int) -> int:
        """The number of the first frame of the next batch, of so many raw bytes."""
        first = self.frames
        self.frames += -(-length // self._frame_size)
        return first

    def sealed(self, first: int, raw: memoryview, level: int) -> Sealed:
        """A batch whose frames are numbered from `first`; from any thread."""
        frames = self.key.frames(first, raw, self._frame_size, level)
        page = first * self._frame_size // PAGE
        digests = b"" if self._digests_of is None else self._digests_of(page, raw)
        with self._lock:
            self.stored_size += sum(len(frame) for frame, _ in frames)
        return frames, digests

    def stored(self) -> bytes:
        """The whole object, once every batch has come; raises what any has failed with."""
        sealed = [batch.result() for batch in self.batches]
        self.batches.clear()
        frames = [frame for batch, _ in sealed for frame, _ in batch]
        lengths = [(len(frame), raw) for batch, _ in sealed for frame, raw in batch]
        digests = b"".join(digests for _, digests in sealed)
        if digests:
            digests = seal_digests(self.key.aead, self.key.pack_id.bytes, digests)
        ending = self.key.ending(self._frame_size, lengths)
        return b"".join([self.key.header, *frames, digests, ending])
