"""What protection costs, by Azure's two meters: units of a protected server, and stored bytes.

A unit is a started 250 GB of the server; storage is paid by the GB-month (GB = 10^9 bytes) at a
rate for its redundancy. Source: Microsoft, "Azure Backup pricing", list prices of West Europe.
"""

import math
from dataclasses import dataclass

import msgspec

from strongroom.model.errors import Invalid

GB = 10**9
UNIT_GB = 250
_MOST = 1_000_000.0


class PriceSheet(msgspec.Struct, kw_only=True, frozen=True):
    """Prices of a month: of a unit, and of a GB by redundancy. The default is Azure's list."""

    currency: str = "EUR"
    unit: float = 6.581834
    locally_redundant: float = 0.019658
    zone_redundant: float = 0.024572
    geo_redundant: float = 0.039315

    def check(self) -> "PriceSheet":
        """Raises Invalid for a price that is none."""
        prices = (self.unit, self.locally_redundant, self.zone_redundant, self.geo_redundant)
        if not all(math.isfinite(price) and 0 <= price < _MOST for price in prices):
            raise Invalid("a price is not a number of money", hint="write it as 0.0197")
        if not (self.currency.isascii() and 1 <= len(self.currency) <= 8):
            raise Invalid("this is no currency", hint="write it as EUR")
        return self

    def of_gb(self, redundancy: str) -> float:
        """Of a GB and month; Azure's words for redundancy."""
        known = {"ZoneRedundant": self.zone_redundant, "GeoRedundant": self.geo_redundant}
        return known.get(redundancy, self.locally_redundant)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one instance and month; `as_full` is what its points would be as full copies (bytes)."""

    name: str
    vault: str
    tags: dict[str, str]
    redundancy: str
    size: int
    stored: int
    as_full: int
    points: int
    units: int
    units_price: float
    storage_price: float

    @property
    def total(self) -> float:
        """Both meters."""
        return self.units_price + self.storage_price


def units_of(size: int) -> int:
    """Started units of a server; an empty one is one too."""
    return max(1, math.ceil(size / (UNIT_GB * GB)))


def storage_price(sheet: PriceSheet, redundancy: str, stored: int) -> float:
    """Of so many bytes for a month."""
    return stored / GB * sheet.of_gb(redundancy)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the instances of a policy have been: sizes in bytes, each the mean of one of them.

    `change`: stored anew for one more point; `whole`: stored when there is one point.
    """

    instances: int
    units: int  # of all of them
    whole: float
    change: float


def forecast(sheet: PriceSheet, redundancy: str, seen: Measured, points: int) -> float:
    """A month, when each of them has so many points and changes as it has until now."""
    stored = seen.instances * (seen.whole + max(0, points - 1) * seen.change)
    return seen.units * sheet.unit + storage_price(sheet, redundancy, round(stored))
