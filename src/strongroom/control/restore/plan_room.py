"""What an agent saw of a restore's target, and whether there is room in it.

Room is asked of each file system for what goes there: what is free on others helps nobody.
"""

from dataclasses import dataclass

from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.restore.restore_request import RestoreRequest
from strongroom.model.work.plan import LookResult, PlaceFacts, RestorePlan


@dataclass(frozen=True, slots=True)
class Sight:
    """What the agent saw of the target; `seen` None: it did not answer, or was not asked.

    `wanted`: there is something to look at, for a disk of its host is written.
    """

    seen: LookResult | None
    asked_for: bool
    wanted: bool

    def place(self, path: str) -> PlaceFacts | None:
        """One of the places, by the path that was asked."""
        places = self.seen.places if self.seen is not None else []
        return next((place for place in places if place.path == path), None)

    def target(self, asked: RestoreRequest) -> PlaceFacts | None:
        """Where the data directory goes, or what is there for a while only."""
        if self.seen is None:
            return None
        return self.seen.places[0] if asked.target_directory else self.seen.scratch


@dataclass(frozen=True, slots=True)
class FileSystem:
    """By the first place on it: bytes that are written there, and those free."""

    path: str
    needed: int
    free: int


def file_systems_of(
    plan: RestorePlan, point: RecoveryPoint, asked: RestoreRequest, sight: Sight
) -> list[FileSystem]:
    """Of all file systems that are written; none where nobody has looked, or may.

    A point of before tablespaces were measured says how large all is together, and no more: then
    the file systems count as one.
    """
    target = sight.target(asked)
    if target is None or target.refused is not None:
        return []
    sizes: dict[str, int] | None = point.facts.get("tablespaces")
    if sizes is None and sight.seen is not None and asked.target_directory:
        free = {place.device: place.free_bytes for place in sight.seen.places}
        return [FileSystem(target.path, plan.write_bytes, sum(free.values()))]
    found = {target.device: FileSystem(target.path, plan.write_bytes, target.free_bytes)}
    for old, size in (sizes or {}).items():
        place = sight.place(asked.tablespaces.get(old, old)) if asked.part is None else None
        if place is None or place.device == target.device or place.refused is not None:
            continue
        _take(found, target, -size)
        _take(found, place, size)
    return list(found.values())


def _take(found: dict[int, FileSystem], place: PlaceFacts, size: int) -> None:
    known = found.get(place.device, FileSystem(place.path, 0, place.free_bytes))
    found[place.device] = FileSystem(known.path, known.needed + size, known.free)
