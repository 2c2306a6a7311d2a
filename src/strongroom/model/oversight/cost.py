"""What protection costs, by Azure's two meters: units of a protected server, and stored bytes.

A unit is a started 250 GB of the server; storage is paid by the GB-month (GB = 10^9 bytes) at a
rate for its redundancy. Source: Microsoft, "Azure Backup pricing", list prices of West Europe.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from whenever import Date

from strongroom.model.errors import Invalid

GB = 10**9
UNIT_GB = 250
_MOST = 1_000_000.0
_LONGEST_NAME = 60


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


class Budget(msgspec.Struct, kw_only=True, frozen=True):
    """What all of it may cost a month, in the sheet's currency, and what people call that."""

    name: str
    amount: float

    def check(self) -> "Budget":
        """Raises Invalid for an amount that is none, or a name that nobody could read."""
        if not (math.isfinite(self.amount) and 0 < self.amount < _MOST**2):
            raise Invalid("the amount of a budget is a number above 0", hint="write it as 1500")
        if not (1 <= len(self.name) <= _LONGEST_NAME and self.name.isprintable()):
            raise Invalid(
                f"the name of a budget has 1 to {_LONGEST_NAME} letters",
                hint="name it as people here do: Backups, 2027",
            )
        return self


@dataclass(frozen=True, slots=True)
class Layers:
    """A month's price of many instances, by what it is paid for.

    newest: the newest copy of each; tags: what else is kept, by its tag; beside: log, maps, keys.
    """

    units: float
    newest: float
    tags: dict[str, float]
    beside: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.units + self.newest + sum(self.tags.values()) + self.beside


def sum_of_layers(those: Iterable[Layers]) -> Layers:
    """Of several, layer by layer."""
    units = newest = beside = 0.0
    tags: dict[str, float] = {}
    for each in those:
        units, newest, beside = units + each.units, newest + each.newest, beside + each.beside
        for tag, price in each.tags.items():
            tags[tag] = tags.get(tag, 0.0) + price
    return Layers(units, newest, tags, beside)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one instance and month. Bytes in storage, each once; prices at the sheet.

    points: what recovery points need, `unique` of it what one of them needs alone. as_full: what
    they would take as full copies, compressed as they are. counted_on: the day of the last count;
    empty before the first, and then what each backup has put is all that is known. so_far: both
    meters of this month until now.
    """

    instance_id: str
    name: str
    vault: str
    tags: dict[str, str]
    redundancy: str
    size: int
    stored: int
    points_bytes: int
    unique: int
    log: int
    other: int
    as_full: int
    points: int
    units: int
    units_price: float
    storage_price: float
    as_full_price: float
    so_far: "Meters"
    month_to_date: float
    counted_on: str

    @property
    def shared(self) -> int:
        """What several points need."""
        return self.points_bytes - self.unique

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
class Day:
    """What an instance took on one UTC day."""

    day: Date
    server: int
    stored: int


@dataclass(frozen=True, slots=True)
class Meters:
    """The two meters of some days of one month: what a bill is made of."""

    unit_months: float
    gb_months: float

    def prices(self, sheet: PriceSheet, redundancy: str) -> tuple[float, float]:
        """(units, storage)."""
        return self.unit_months * sheet.unit, self.gb_months * sheet.of_gb(redundancy)


def read_meters(days: Sequence[Day], first: Date, last: Date) -> Meters:
    """Both meters from `first` to the end of `last`, days of one month.

    A day that was not counted is as the one before, or as the first that was. `days`: in order.
    """
    share, units, gigabytes, at = 1.0 / last.days_in_month(), 0.0, 0.0, first
    while days and at <= last:
        before = [each for each in days if each.day <= at]
        found = before[-1] if before else days[0]
        units += share * units_of(found.server)
        gigabytes += share * found.stored / GB
        at = at.add(days=1)
    return Meters(units, gigabytes)
