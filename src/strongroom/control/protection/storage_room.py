"""Whether a first backup of a server has room in storage, before it is protected."""

import sqlalchemy as sa

from strongroom.control.basis.control import Control
from strongroom.control.resources.servers import facts_of
from strongroom.model.errors import Precondition, StoreFull, StoreUnavailable
from strongroom.model.oversight.outside import Room
from strongroom.model.sizes import told_size


def ask_room(control: Control) -> Room | None:
    """What is left; None where nobody can say. Storage is asked: not within a transaction."""
    try:
        return control.outside.room()
    except StoreUnavailable:
        return None


def check_size(room: Room, server: sa.RowMapping) -> None:
    """Raises Precondition where not even a backup that compresses well would fit."""
    facts = facts_of(server)
    size = 0 if facts is None else facts.size_bytes
    if not room.fits(size):
        raise Precondition(
            f"server {server['name']} holds {told_size(size)}, and {told_size(room.headroom)} "
            "are left in storage beside its reserve: a first backup cannot fit",
            hint="free space at the storage endpoint, or give it a larger disk",
            code=StoreFull.__name__,
        )
