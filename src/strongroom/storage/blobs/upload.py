"""A body being received for a name."""

from collections.abc import Sequence
from contextlib import ExitStack

from strongroom.model.errors import Invalid
from strongroom.storage.basis.incoming import Incoming


class Upload:
    """Ends with `commit`, `stage` or `abandon`.

    `identifier`: the stored access policy that it came under, or "".
    """

    def __init__(
        self, container: str, name: str, incoming: Incoming, claim: ExitStack, identifier: str
    ) -> None:
        self.container = container
        self.name = name
        self.identifier = identifier
        self.incoming = incoming
        self.belongs_to_ledger = False  # its file must not be discarded any more
        self._claim = claim

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append bytes."""
        self.incoming.write(pieces)

    def check_md5(self, expected: bytes | None) -> None:
        """Raise Invalid (Md5Mismatch) when something else is expected than was written."""
        if expected is not None and self.incoming.md5 != expected:
            raise Invalid("the body is not what its MD5 says", code="Md5Mismatch")

    def abandon(self) -> None:
        """Give up what has not been committed; harmless after `commit` and `stage`."""
        self._claim.close()
        if self.belongs_to_ledger:
            self.incoming.close(durable=False)
        else:
            self.incoming.discard()
