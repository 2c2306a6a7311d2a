"""What a point knows of its files' pages: page versions of its own, or layers laid together."""

import threading
from collections.abc import Callable

from strongroom.datastore.blobs import Blobs
from strongroom.datastore.manifest import Manifest, PagePart
from strongroom.datastore.page_parts import PageVersions, open_part
from strongroom.model.postgres import PAGE
from strongroom.postgres.page_layers import laid
from strongroom.postgres.page_notes import PageNotes

Fetched = Callable[[int], None]  # told how many bytes came out of storage


class KnownPages:
    """Page versions by the number of a file. Safe for threads."""

    def __init__(self, manifest: Manifest, blobs: Blobs, fetched: Fetched) -> None:
        """Raises Corrupt, ObjectMissing, StoreUnavailable."""
        self._manifest = manifest
        self._extents = manifest.all_extents()
        self._lock = threading.Lock()
        self._notes = PageNotes()  # what is packed; of a large server it would fill the memory
        self._names: dict[str, list[str]] = {}  # path -> where its records are, the oldest first

        def opened(part: PagePart) -> dict[str, bytes]:
            fetched(part.size)
            return open_part(blobs, part)

        parts = manifest.page_parts
        paths = [part.paths for part in parts]
        self._versions = PageVersions(manifest.page_versions, paths, lambda n: opened(parts[n]))
        for number, layer in enumerate(manifest.page_layers):
            for path, record in opened(layer).items():
                name = f"{number} {path}"
                self._notes[name] = record
                self._names.setdefault(path, []).append(name)

    def of_file(self, index: int) -> bytes | None:
        """As `ToldFile.versions`. Raises as above."""
        file = self._manifest.files[index]
        if file.path not in self._names:
            return self._versions.get(file.path)
        with self._lock:
            records = [self._notes[name] for name in self._names[file.path]]
        rows = self._extents.of_file(index)
        return laid(records, file.size // PAGE, ((row.offset, row.end) for row in rows))
