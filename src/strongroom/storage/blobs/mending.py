"""A damaged blob is what was written again: by the same bytes from elsewhere, and by no others.

    bytes > digest compared with the ledger > fsync > ROW names them > damaged ones away > place

Nothing is overwritten by something else: what the ledger says of the blob stays as it was. From
the row in capitals on the blob is read from the new bytes; a crash after it leaves it so.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from strongroom.model.errors import Corrupt
from strongroom.model.seams import Clock
from strongroom.storage.back_ends.placement import Placement
from strongroom.storage.basis.blob import Blob, Finding
from strongroom.storage.basis.incoming import Incoming
from strongroom.storage.basis.space import Space
from strongroom.storage.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Mending:
    """Of one store: `incoming(bytes)` makes a file for so many, `holding` holds a blob's name."""

    ledger: Ledger
    placement: Placement
    space: Space
    clock: Clock
    incoming: Callable[[int], Incoming]
    holding: Callable[[str, str], AbstractContextManager[None]]

    def mend(self, container: str, name: str, pieces: Iterable[bytes]) -> None:
        """Take these bytes for those that are damaged.

        Raises Corrupt when they are not what was written, Invalid when they are more,
        ObjectMissing when the blob was deleted, Locked when a provider keeps the damaged ones.
        """
        blob = self.ledger.blob(container, name)
        with self.space.claim(blob.size):
            found = self.incoming(blob.size)
            try:
                for piece in pieces:
                    found.write([piece])
                self._note(blob, found)
            except BaseException:
                found.discard()
                raise
        with self.holding(container, name):
            self.placement.replace(self.ledger.blob(container, name))
        finding = Finding(container=container, name=name, state="ok")
        self.ledger.note_checked(finding, self.clock.now())

    def _note(self, blob: Blob, found: Incoming) -> None:
        if found.blake3 != blob.blake3:
            raise Corrupt("its bytes are not those that were written")
        found.close(durable=True)
        with self.holding(blob.container, blob.name):
            now = self.ledger.blob(blob.container, blob.name)
            self.placement.check_removable(now)
            self.ledger.note_incoming(now, found.path.name)
