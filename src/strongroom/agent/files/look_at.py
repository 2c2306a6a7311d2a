"""Look at the places of a restore that somebody plans: what is there, and how much room."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strongroom.agent.files.places import look_into
from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import Invalid, Precondition, StoreError, TargetError, VaultError
from strongroom.model.first_few import first_few
from strongroom.model.seams import Chance
from strongroom.model.work.operation import Completion, Progress
from strongroom.model.work.plan import FilesLook, LookResult, PlaceFacts
from strongroom.postgres.restore.standing import check_stopped


def look_at(held: HeldLease, allow: Callable[[str], Path], chance: Chance) -> Completion:
    """`allow` says whether this agent restores there at all, and raises when it does not."""
    order = held.lease.look
    if order is None:
        raise Invalid("not an order to look at places")
    held.tell(Progress(step="Looking"))
    found = [_facts(place, allow) for place in order.places]
    scratch = _facts(tempfile.gettempdir(), Path)
    told = LookResult(places=found, scratch=scratch)
    if order.files is not None:
        told.files = _of_files(held, order.files, chance)
    return Completion(epoch=held.lease.epoch, look=told)


def _of_files(held: HeldLease, files: FilesLook, chance: Chance) -> dict[str, Any] | None:
    """What they would run into: no way in, no right to write, a name that is taken."""
    try:
        with look_into(held, files, chance) as target:
            target.try_write(files.names[0])
            for name in files.names:
                target.holds(name)
    except (StoreError, TargetError) as error:
        return error.to_dict()
    return None


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
    state, names = _found_at(path)
    return PlaceFacts(
        path=place,
        state=state,
        free_bytes=room.f_bavail * room.f_frsize,
        device=ancestor.stat().st_dev,
        holds=first_few(names),
        runs=_runs_in(path) if state == "filled" else None,
    )


def _runs_in(path: Path) -> dict[str, Any] | None:
    try:
        check_stopped(path)
    except Precondition as error:
        return error.to_dict()
    return None


def _found_at(path: Path) -> tuple[str, list[str]]:
    """(state, names in it)."""
    if not os.path.lexists(path):
        return "absent", []
    if path.is_symlink() or not path.is_dir():
        return "other", []
    names = sorted(os.fsencode(each.name).decode(errors="replace") for each in path.iterdir())
    return ("filled" if names else "empty"), names
