"""Read one file from its beginning to its end, for who can write no other way.

A file is read a window at a time: within one the packs are read side by side and in any order. A
window ends where another pack begins, if it can, so that hardly a pack is fetched twice.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from strongroom.datastore.maps.extents import Extent, Extents, columns_of
from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.reader import read_files

_ENOUGH = 8 << 20  # bytes of a window, from which on it ends with its pack
_MOST = 40 << 20  # bytes of a window: a pack holds fewer


def read_in_order(
    manifest: Manifest,
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    index: int,
    *,
    workers: int = 2,
    on_fetched: Callable[[int], None],
) -> Iterator[memoryview]:
    """The bytes of a file, by its index; each piece is good until the next one is asked for.

    `on_fetched(stored bytes)` after each piece. Raises what `read_files` does.
    """
    end = 0
    for window in _windows(manifest, index):
        start = window[0].offset
        yield from _zeros(start - end)
        end = window[-1].end
        buffer = memoryview(bytearray(end - start))

        def write(_file: int, offset: int, data: memoryview) -> None:
            at = offset - start  # noqa: B023 - called before the next round
            buffer[at : at + len(data)] = data  # noqa: B023 - the same

        extents = Extents.of_columns(columns_of(window))
        fetched = read_files(
            manifest, blobs, content_keys, write, extents=extents, workers=workers
        )
        on_fetched(fetched)
        yield buffer
    yield from _zeros(manifest.files[index].size - end)


def _zeros(length: int) -> Iterator[memoryview]:
    """What no extent covers."""
    for at in range(0, length, _ENOUGH):
        yield memoryview(bytes(min(_ENOUGH, length - at)))


def _windows(manifest: Manifest, index: int) -> Iterator[list[Extent]]:
    """The file's extents, in order; a hole between two is in no window."""
    extents = manifest.all_extents()
    window: list[Extent] = []
    for row in range(*(bisect_left(extents, file, key=_file_of) for file in (index, index + 1))):
        for piece in _pieces(extents[row]):
            if window and _is_full(window, piece):
                yield window
                window = []
            window.append(piece)
    if window:
        yield window


def _file_of(extent: Extent) -> int:
    return extent.file


def _pieces(extent: Extent) -> Iterator[Extent]:
    for at in range(0, extent.length, _MOST):
        length = min(_MOST, extent.length - at)
        yield Extent(extent.file, extent.offset + at, length, extent.pack, extent.raw + at)


def _is_full(window: list[Extent], piece: Extent) -> bool:
    length = window[-1].end - window[0].offset
    if piece.offset != window[-1].end or length + piece.length > _MOST:
        return True
    return length >= _ENOUGH and piece.pack != window[-1].pack
