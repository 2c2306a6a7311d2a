"""Look at the places of a restore that somebody plans: what is there, and how much room."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import Invalid, VaultError
from strongroom.model.operation import Completion, Progress
from strongroom.model.plan import LookResult, PlaceFacts


def look_at(held: HeldLease, allow: Callable[[str], Path]) -> Completion:
    """`allow` says whether this agent restores there at all, and raises when it does not."""
    order = held.lease.look
    if order is None:
        raise Invalid("not an order to look at places")
    held.tell(Progress(step="Looking"))
    found = [_facts(place, allow) for place in order.places]
    scratch = _facts(tempfile.gettempdir(), Path)
    return Completion(epoch=held.lease.epoch, look=LookResult(places=found, scratch=scratch))


def _facts(place: str, allow: Callable[[str], Path]) -> PlaceFacts:
    try:
        path = allow(place)
    except VaultError as error:  # and nobody learns what is there
        return PlaceFacts(
            path=place, state="absent", free_bytes=0, device=0, refused=error.to_dict()
        )
    ancestor = path
    while not ancestor.exists() and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    room = os.statvfs(ancestor)
    return PlaceFacts(
        path=place,
        state=_state(path),
        free_bytes=room.f_bavail * room.f_frsize,
        device=ancestor.stat().st_dev,
    )


def _state(path: Path) -> str:
    if not os.path.lexists(path):
        return "absent"
    if path.is_symlink() or not path.is_dir():
        return "other"
    return "filled" if any(path.iterdir()) else "empty"
