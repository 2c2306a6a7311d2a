"""Page versions in layers: where the server says what has changed, the words of what came, alone.

A record is one byte, then page versions as a manifest keeps them: 1 when the file came whole, 0
when it came in part; then the words of a page that did not come are zeros. Laid one over the other
they are the words of the whole file, as the point has it (docs/format.md).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import zstandard
from numpy.typing import NDArray

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE
from strongroom.postgres.page_versions import COLUMNS, unpacked

_PART, _WHOLE = b"\0", b"\1"
_LEVEL = 1  # of what is read once more, at once


class Layer(Mapping[str, bytes]):
    """Path -> record, of one backup. What was noted is read when it is asked for."""

    def __init__(
        self, notes: Mapping[str, bytes], in_part: Collection[str], unknown: Collection[str]
    ) -> None:
        """`notes`: path -> words; `in_part`: those of a part; `unknown`: files that came whole

        and of which nothing was noted: what was known of them is not theirs any more.
        """
        self._notes = notes
        self._in_part = in_part
        self._unknown = unknown

    def __getitem__(self, path: str) -> bytes:
        if path in self._unknown:
            return _WHOLE + zstandard.compress(b"")
        return (_PART if path in self._in_part else _WHOLE) + self._notes[path]

    def __iter__(self) -> Iterator[str]:
        yield from self._notes
        yield from self._unknown

    def __len__(self) -> int:
        return len(self._notes) + len(self._unknown)


def laid(records: Iterable[bytes], pages: int, covered: Iterable[tuple[int, int]]) -> bytes:
    """Records of one file, the oldest first -> its page versions as a manifest keeps them.

    `pages`: of the file in the point. `covered`: (start, end) in bytes of what the point has of
    it; the rest reads as zeros there, whatever it was before. Raises Corrupt.
    """
    words = np.zeros((COLUMNS, pages), dtype=np.uint32)
    for record in records:
        if record[:1] not in {_PART, _WHOLE}:
            raise Corrupt("a layer of page versions of an unknown kind")
        came = _columns(record[1:])[:, :pages]
        if record[:1] == _WHOLE:
            words[:] = 0
            words[:, : came.shape[1]] = came
        else:
            noted = np.flatnonzero(came.any(axis=0))
            words[:, noted] = came[:, noted]
    has = np.zeros(pages, dtype=bool)
    for start, end in covered:
        has[-(-start // PAGE) : end // PAGE] = True
    words[:, ~has] = 0
    return zstandard.compress(words.tobytes(), _LEVEL)


def _columns(packed: bytes) -> NDArray[np.uint32]:
    found: NDArray[np.uint32] = np.frombuffer(unpacked(packed), dtype=np.uint32)
    return found.reshape(COLUMNS, -1)
