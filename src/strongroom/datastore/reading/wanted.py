"""What is wanted of one pack: which frames to open, and where their bytes go. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice

from strongroom.datastore.maps.extents import Extent

STRETCH = 4 << 20  # raw bytes that are opened at a time


class Wanted:
    """Extents of one pack, at least one, in the order of the raw stream."""

    def __init__(self, extents: Iterable[Extent]) -> None:
        self._extents = sorted(extents, key=lambda extent: extent.raw)
        self._longest = max(extent.length for extent in self._extents)
        self.raw_bytes = sum(extent.length for extent in self._extents)
        self.end = max(extent.raw + extent.length for extent in self._extents)

    def stretches(self, frame_size: int) -> Iterator[tuple[int, int]]:
        """(first, last) of neighbouring frames that are needed, a few megabytes at most."""
        most = max(1, STRETCH // frame_size)
        first = last = -1
        for extent in self._extents:
            begin = max(extent.raw // frame_size, last + 1)
            for number in range(begin, (extent.raw + extent.length - 1) // frame_size + 1):
                if first >= 0 and (number > last + 1 or number - first >= most):
                    yield first, last
                    first = -1
                first, last = number if first < 0 else first, number
        if first >= 0:
            yield first, last

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """(file, file offset, raw start, raw end) of what lies in the raw stream's [start, end).

        Neighbours in the file that are neighbours in the stream come as one.
        """
        file = offset = low = high = -1
        for extent in self._between(start, end):
            begin, stop = max(extent.raw, start), min(extent.raw + extent.length, end)
            at = extent.offset + begin - extent.raw
            if low >= 0 and (extent.file, at, begin) == (file, offset + high - low, high):
                high = stop
                continue
            if low >= 0:
                yield file, offset, low, high
            file, offset, low, high = extent.file, at, begin, stop
        if low >= 0:
            yield file, offset, low, high

    def _between(self, start: int, end: int) -> Iterator[Extent]:
        """Extents with a byte in [start, end)."""
        nearest = start - self._longest
        begin = bisect_left(self._extents, nearest, key=lambda extent: extent.raw)
        for extent in islice(self._extents, begin, None):
            if extent.raw >= end:
                return
            if extent.raw + extent.length > start:
                yield extent
