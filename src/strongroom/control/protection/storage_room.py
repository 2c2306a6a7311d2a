"""Whether a first backup of a server has room in storage, before it is protected."""

import sqlalchemy as sa

from strongroom.control.basis.control import Control
from strongroom.control.resources.servers import facts_of
from strongroom.model.cost import GB
from strongroom.model.errors import Precondition, StoreFull, StoreUnavailable
from strongroom.model.outside import Room


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
            f"server {server['name']} holds {size / GB:.1f} GB, and {room.headroom / GB:.1f} GB "
            "are left in storage: a first backup cannot fit",
            hint="free space at the storage endpoint, or give it a larger disk",
            code=StoreFull.__name__,
        )
