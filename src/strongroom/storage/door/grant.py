"""Who asks, and what the credential lets them do."""

from dataclasses import dataclass

from strongroom.model.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Grant:
    """`letters` None: the account key, which may do every verb there is.

    `caller` is for the log: never a signature. `overrides`: answer headers that a SAS asks for.
    `identifier`: the stored access policy that the SAS hangs on, or "". `reads_all`: the reader
    key, which sees everything and changes nothing.
    """

    caller: str
    letters: frozenset[str] | None
    overrides: tuple[tuple[str, str], ...] = ()
    identifier: str = ""
    reads_all: bool = False

    def need(self, letters: str) -> None:
        """Any of these permissions, or Forbidden."""
        if self.letters is not None and not self.letters.intersection(letters):
            raise _mismatch()

    def need_account_key(self) -> None:
        """Only the account key may."""
        if self.letters is not None:
            raise _mismatch()

    def need_to_read_all(self) -> None:
        """The account key, or the reader key."""
        if self.letters is not None and not self.reads_all:
            raise _mismatch()


def _mismatch() -> Forbidden:
    return Forbidden(
        "this credential does not permit this operation", code="AuthorizationPermissionMismatch"
    )
