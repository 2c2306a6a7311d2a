"""Page versions while a server is read: in a file without a name, for there may be gigabytes."""

import tempfile
import weakref
from collections.abc import Iterator, MutableMapping


class PageNotes(MutableMapping[str, bytes]):
    """Path -> record. Costs memory for its paths alone; gone with the last who holds it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as we are
        weakref.finalize(self, self._file.close)
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    def __setitem__(self, path: str, record: bytes) -> None:
        self._file.seek(self._end)
        self._file.write(record)
        self._places[path] = (self._end, len(record))
        self._end += len(record)

    def __getitem__(self, path: str) -> bytes:
        start, length = self._places[path]
        self._file.seek(start)
        return self._file.read(length)

    def __delitem__(self, path: str) -> None:
        del self._places[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
