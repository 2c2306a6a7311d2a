"""A control plane that was here before: with its catalogue it goes on, without it it does not.

With an empty catalogue it would give numbers a second time and protect nothing; with an older one
it would let go what was held since. Both are told by the anchors in storage, and `strongroom
rebuild` is the way on.
"""

import structlog

from strongroom.catalog.oversight import audit
from strongroom.config import ServeFiles, write_private
from strongroom.control.basis.control import Control
from strongroom.control.oversight.audit_gaps import find_ahead
from strongroom.model.errors import CatalogueLost, StoreError

_USED = "catalogue-in-use"

log = structlog.get_logger()


def check_catalogue(control: Control, files: ServeFiles) -> None:
    """Raise CatalogueLost for a catalogue that is lost, or older than what storage knows of it.

    While storage cannot be asked it is let pass: the care of storage asks again.
    """
    with control.database.reading() as connection:
        head, _ = audit.head(connection)
    if head == 0 and (files.directory / _USED).exists():
        raise _lost()
    try:
        ahead = find_ahead(control)
    except StoreError as error:
        log.warning("audit.not_compared", why=error.message)
        return
    if ahead is not None:
        raise _lost() if head == 0 else _older(head, ahead.sequence)


def note_used(files: ServeFiles) -> None:
    """From here on an empty catalogue is one that was lost."""
    if not (files.directory / _USED).exists():
        write_private(files.directory / _USED, b"")


def _lost() -> CatalogueLost:
    return CatalogueLost(
        "the catalogue is gone: this one is empty, and this installation had one",
        hint="build it anew from storage and the recovery kit: strongroom rebuild --key FILE",
    )


def _older(head: int, anchored: int) -> CatalogueLost:
    return CatalogueLost(
        f"the catalogue is older than what storage knows of it: audit records {head + 1} to "
        f"{anchored} are missing",
        hint="put back a newer copy, or go on with this one: strongroom rebuild --key FILE",
    )
