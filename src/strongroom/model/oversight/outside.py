"""What the control plane is told by what lies outside of it: room in storage, certificates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whenever import Instant

FILLING_DAYS = 30  # before storage is full: told
FULL_SOON_DAYS = 7  # before that: grave
MOST_COMPRESSED = 4  # times: what pages of PostgreSQL and dumps of it seldom exceed
CERTIFICATE_DAYS = 30
CERTIFICATE_GRAVE_DAYS = 7


@dataclass(frozen=True, slots=True)
class Room:
    """On the disk of the storage endpoint, in bytes. Uploads never get the reserve.

    `holds_blobs`: not where they lie in a bucket, and the disk holds the ledger alone.
    """

    free_bytes: int
    reserve_bytes: int
    holds_blobs: bool = True

    @property
    def headroom(self) -> int:
        """What uploads may take yet."""
        return max(0, self.free_bytes - self.reserve_bytes)

    def fits(self, size: int) -> bool:
        """Whether a first backup of a server of so many bytes can, when it compresses well."""
        return not self.holds_blobs or size <= self.headroom * MOST_COMPRESSED

    def days_left(self, growth: float) -> float:
        """Until there is no headroom, at so many bytes a day; infinite when nothing grows."""
        return self.headroom / growth if growth > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Of a door, or of whoever comes in with one; `hint` says how it is renewed."""

    key: str  # the same for as long as it is the same door
    name: str  # for people
    ends_at: Instant
    hint: str


def growth_of(days: Sequence[tuple[float, int]]) -> float:
    """Bytes a day from (day, bytes), the oldest first: the line of least squares; 0 for too few.

    Two weeks at the least: a first full backup is no trend.
    """
    if len(days) < 2 or days[-1][0] - days[0][0] < 14:
        return 0.0
    middle = sum(day for day, _ in days) / len(days)
    mean = sum(size for _, size in days) / len(days)
    spread = sum((day - middle) ** 2 for day, _ in days)
    return sum((day - middle) * (size - mean) for day, size in days) / spread


def nothing_known() -> None:
    """For a control plane without a storage endpoint."""
    return


@dataclass(frozen=True, slots=True)
class Outside:
    """`room()`: None where there is no endpoint, StoreUnavailable where it does not answer.

    `certificates()`: of the doors that could be looked at; what could not be is left out.
    """

    room: Callable[[], Room | None] = nothing_known
    certificates: Callable[[], list[Certificate]] = list
