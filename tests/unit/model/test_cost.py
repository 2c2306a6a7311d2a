"""Azure's two meters: its own examples come out, and prices that are none are refused."""

import pytest
from whenever import Date, Instant

from strongroom.model.errors import Invalid
from strongroom.model.oversight.bill import Billed, bills_until
from strongroom.model.oversight.cost import (
    GB,
    Day,
    PriceSheet,
    read_meters,
    storage_price,
    units_of,
)

DOLLARS = PriceSheet(
    currency="USD", unit=7.50, locally_redundant=0.0224, zone_redundant=0.028, geo_redundant=0.0448
)


@pytest.mark.parametrize(
    ("size", "units"),
    [(0, 1), (3 * 10**6, 1), (250 * GB, 1), (250 * GB + 1, 2), (600 * GB, 3), (3140 * GB, 13)],
)
def test_each_started_250_gb_is_a_unit(size: int, units: int) -> None:
    assert units_of(size) == units


@pytest.mark.parametrize(
    ("size", "dump", "redundancy", "price"),
    [
        (100 * GB, 30 * GB, "LocallyRedundant", 30.35),
        (600 * GB, 200 * GB, "LocallyRedundant", 174.8),
        (600 * GB, 200 * GB, "GeoRedundant", 327.1),
    ],
)
def test_thirty_four_full_copies_cost_what_azures_list_says(
    size: int, dump: int, redundancy: str, price: float
) -> None:
    found = units_of(size) * DOLLARS.unit + storage_price(DOLLARS, redundancy, 34 * dump)
    assert found == pytest.approx(price, abs=0.1)


@pytest.mark.parametrize("wrong", [{"unit": -1.0}, {"geo_redundant": float("nan")}])
def test_a_price_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        PriceSheet(**wrong).check()


def test_a_month_so_far_pays_each_day_as_it_was_counted_or_as_the_day_before() -> None:
    def day(number: int, stored: int) -> Day:
        return Day(Date(2026, 4, number), 100 * GB, stored * GB)

    today, rate = Date(2026, 4, 20), 0.0224 / 30
    # Ten days of 100 GB, five of 200, five of 300; the days between were not counted.
    days = [Day(Date(2026, 3, 30), 100 * GB, 100 * GB), day(11, 200), day(16, 300)]
    found = to_date(days, Date(2026, 4, 1), today)
    assert found == pytest.approx(20 * 7.50 / 30 + (1000 + 1000 + 1500) * rate)
    # One that began on the 15th, and was counted first on the 18th.
    found = to_date([day(18, 50)], Date(2026, 4, 15), today)
    assert found == pytest.approx(6 * 7.50 / 30 + 6 * 50 * rate)
    assert to_date([], today, today) == 0.0


def to_date(days: list[Day], first: Date, last: Date) -> float:
    return sum(read_meters(days, first, last).prices(DOLLARS, "LocallyRedundant"))


def test_a_month_is_closed_once_it_is_over_and_the_last_one_when_the_instance_is_gone() -> None:
    of = Billed(
        instance_id="i",
        name="shop",
        resource_group="g",
        vault="v",
        tags={},
        redundancy="LocallyRedundant",
        began=Date(2026, 2, 15),
    )
    counted = [Day(Date(2026, month, 20), 300 * GB, 10 * month * GB) for month in (2, 3, 4)]
    now = Instant.parse_iso("2026-04-30T23:30:00Z")
    told = bills_until(of, counted, DOLLARS, now, gone=False)
    assert [(each.month, each.closed) for each in told] == [
        ("2026-02", True),
        ("2026-03", True),
        ("2026-04", False),
    ]
    assert [each.unit_months for each in told] == [pytest.approx(2 * days) for days in (0.5, 1, 1)]
    march = pytest.approx((19 * 20 + 12 * 30) / 31)  # as in February until it was counted anew
    assert told[1].gb_months == march
    assert told[1].total == pytest.approx(2 * 7.50 + told[1].gb_months * 0.0224)
    assert bills_until(of, counted, DOLLARS, now, gone=True)[-1].closed
    assert bills_until(of, [], DOLLARS, now, gone=True) == []  # nothing was ever counted
