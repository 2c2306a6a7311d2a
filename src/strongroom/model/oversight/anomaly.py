"""Whether a new recovery point is far from those before it: arithmetic over what was measured.

Far is more than five times the median absolute deviation from the median, and more than a floor
that a quiet history cannot narrow. History is what was trusted: points that were themselves
anomalous count only once a drill or a person has accepted them, so that bad points do not teach.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from strongroom.model.work.logical import LOGICAL

Floor = Callable[[float], float]  # of what is usual: the least distance that counts

DEVIATIONS = 5
LEAST_HISTORY = 7  # points of the same kind; with fewer nothing is far from anything
MOST_HISTORY = 30
MOST_IN_AN_HOUR = 12  # points of one instance: more are a flood
_SIZE_FLOOR = 0.25  # of the size that is usual
_LEAST_SIZE = 8 << 20  # bytes
_SHARE_FLOOR = 0.2  # of all bytes, that have changed
_RATIO_FLOOR = 0.2  # stored bytes for each that was read
_LEAST_READ = 1 << 20  # bytes: of fewer nobody can say how well they are compressed


@dataclass(frozen=True, slots=True)
class Sample:
    """What is measured of a point; sizes in bytes. damaged_pages: file -> blocks."""

    kind: str  # Full | Incremental | Logical
    raw_bytes: int
    read_bytes: int  # that were read and written anew
    stored_bytes: int  # what came of those
    system_identifier: str = ""
    damaged_pages: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def changed(self) -> float:
        """The share of it that was read."""
        return self.read_bytes / max(1, self.raw_bytes)

    @property
    def ratio(self) -> float:
        """Stored bytes for each that was read: 1 is what is encrypted, or noise."""
        return self.stored_bytes / max(1, self.read_bytes)


def anomalies(new: Sample, history: Sequence[Sample], in_an_hour: int = 0) -> list[str]:
    """What is strange about a new point, a sentence each; nothing is the usual answer.

    `history`: trusted points, the oldest first. `in_an_hour`: how many points were taken within
    the hour before it.
    """
    found = []
    if in_an_hour >= MOST_IN_AN_HOUR:
        found.append(f"it is one of {in_an_hour + 1} points within an hour")
    if history:
        found += _against_last(new, history[-1])
    alike = [each for each in history if (each.kind == LOGICAL) == (new.kind == LOGICAL)]
    return [*found, *_against_all(new, alike[-MOST_HISTORY:])]


def _against_last(new: Sample, last: Sample) -> list[str]:
    """What needs no statistics."""
    found = []
    if new.system_identifier and last.system_identifier not in {"", new.system_identifier}:
        found.append("it is of another server: its system identifier has changed")
    fresh = {
        path for path, blocks in new.damaged_pages.items() if set(blocks) - _known(last, path)
    }
    if fresh:
        found.append(f"it holds pages that were damaged on the server: {sorted(fresh)[0]}")
    return found


def _known(last: Sample, path: str) -> set[int]:
    return set(last.damaged_pages.get(path, ()))


def _against_all(new: Sample, history: Sequence[Sample]) -> list[str]:
    found = []
    sizes = [float(each.raw_bytes) for each in history]
    if _is_far(float(new.raw_bytes), sizes, _size_floor, below=True):
        found.append(_told("size", "bytes", new.raw_bytes, median(sizes)))
    if new.kind != "Full":
        shares = [each.changed for each in history if each.kind == new.kind]
        if _is_far(new.changed, shares, lambda _: _SHARE_FLOOR):
            found.append(_told("changed share", "%", new.changed * 100, median(shares) * 100))
    ratios = [each.ratio for each in history if each.read_bytes >= _LEAST_READ]
    if new.read_bytes >= _LEAST_READ and _is_far(new.ratio, ratios, lambda _: _RATIO_FLOOR):
        told = _told("stored part of what was read", "%", new.ratio * 100, median(ratios) * 100)
        found.append(f"{told}: it hardly compresses")
    return found


def _size_floor(usual: float) -> float:
    return max(_SIZE_FLOOR * usual, float(_LEAST_SIZE))


def _is_far(new: float, series: Sequence[float], floor: Floor, *, below: bool = False) -> bool:
    """Far from the median, and from the last one, which may be where a new normal began."""
    if len(series) < LEAST_HISTORY:
        return False
    usual, last = median(series), series[-1]
    spread = median(abs(each - usual) for each in series)
    if new < usual and not below:
        return False
    far = abs(new - usual) > max(DEVIATIONS * spread, floor(usual))
    return far and abs(new - last) > floor(last)


def _told(what: str, unit: str, new: float, usual: float) -> str:
    return f"its {what} is {new:,.0f} {unit}, where {usual:,.0f} is usual"
