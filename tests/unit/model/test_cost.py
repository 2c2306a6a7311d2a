"""Azure's two meters: its own examples come out, and prices that are none are refused."""

import pytest

from strongroom.model.cost import GB, Measured, PriceSheet, forecast, storage_price, units_of
from strongroom.model.errors import Invalid

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


def test_a_forecast_pays_one_whole_copy_and_each_change_after_it() -> None:
    seen = Measured(instances=2, units=3, whole=100.0 * GB, change=1.0 * GB)
    found = forecast(DOLLARS, "LocallyRedundant", seen, 41)
    assert found == pytest.approx(3 * 7.50 + 2 * (100 + 40) * 0.0224)
    assert forecast(DOLLARS, "LocallyRedundant", seen, 0) == pytest.approx(22.5 + 200 * 0.0224)
