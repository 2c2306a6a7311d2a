"""What everything will cost: the forecasts of the policies in use, together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from whenever import Instant

from strongroom.control.basis.control import Control
from strongroom.control.overview import costs, fleet
from strongroom.control.protection import previews
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Forbidden, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.oversight.cost import Cost, Layers, PriceSheet, storage_price, sum_of_layers
from strongroom.model.points.preview import Preview

YEARS = 10
_MOST_POLICIES = 30  # ten years of each are looked through


@dataclass(frozen=True, slots=True)
class PolicyAhead:
    """One policy that protects something; `cost.prices`: a month, at each of the moments."""

    vault: VaultRef
    name: str
    ships: Sequence[fleet.Ship]
    measures: costs.Measures
    cost: costs.Forecast
    ahead: Preview


@dataclass(frozen=True, slots=True)
class Outlook:
    """Anniversaries of now; the policies that protect most first.

    layers: now, as it was counted, and at each of the moments. Log, maps and keys stay so.
    left_out: instances under other policies, or under one that has stored too little to go by.
    """

    moments: list[Instant]
    policies: list[PolicyAhead]
    layers: list[Layers]
    low: list[float]  # if everything grows and changes half as much as until now
    high: list[float]  # if it is half as much again
    left_out: int

    @property
    def prices(self) -> list[float]:
        """Of all, a month, at each of the moments; empty while there is nothing to go by."""
        return [each.total for each in self.layers[1:]]


def start_of(control: Control) -> Instant:
    """From when on is looked ahead: for an hour the same, so that it is worked out once."""
    return control.clock.now().round("hour", mode="floor")


def outlook_of_fleet(control: Control, caller: Caller, counted: Sequence[Cost]) -> Outlook:
    """Of what the caller may see, under policies that they may read; `counted`: what it costs."""
    ships = fleet.see_fleet(control, caller).ships
    today = start_of(control)
    under: dict[tuple[object, str], list[fleet.Ship]] = {}
    for ship in ships:
        under.setdefault((ship.vault.key, ship.policy.lower()), []).append(ship)
    moments: list[Instant] = []
    found: list[PolicyAhead] = []
    for mine in sorted(under.values(), key=len, reverse=True)[:_MOST_POLICIES]:
        vault, name = mine[0].vault, mine[0].policy
        try:
            ahead = previews.preview_policy(
                control, caller, vault, name, properties=None, start=today, years=YEARS
            )
        except (Forbidden, NotFound):
            continue
        measures = costs.measures_of(control, vault, mine, len(mine), len(ahead.fires))
        cost = costs.forecast_of(measures, len(mine), ahead)
        if cost.layers:
            moments = moments or list(ahead.anniversaries())
            found.append(PolicyAhead(vault, name, mine, measures, cost, ahead))
    told = {ship.id for each in found for ship in each.ships}
    those = [each for each in counted if each.instance_id in told]
    layers, beside = _layers_of(costs.price_sheet(control), those, found)
    low, high = (
        [sum(year) + beside for year in zip(*paced, strict=True)]
        for paced in ([each.cost.low for each in found], [each.cost.high for each in found])
    )
    return Outlook(moments, found, layers, low, high, len(ships) - len(told))


def _layers_of(
    sheet: PriceSheet, counted: Sequence[Cost], found: Sequence[PolicyAhead]
) -> tuple[list[Layers], float]:
    """Now and of each year; what is paid beside points. Now is as it was counted, by the shares

    that the forecast has it in.
    """
    if not found:
        return [], 0.0
    beside = _price(sheet, counted, lambda each: each.stored - each.points_bytes)
    years = [
        sum_of_layers(year) for year in zip(*(each.cost.layers for each in found), strict=True)
    ]
    points = _price(sheet, counted, lambda each: each.points_bytes)
    first = years[0]
    share = points / ((first.total - first.units) or 1.0)
    now = Layers(
        sum(each.units_price for each in counted),
        first.newest * share,
        {tag: price * share for tag, price in first.tags.items()},
    )
    return [replace(each, beside=beside) for each in (now, *years[1:])], beside


def _price(sheet: PriceSheet, counted: Iterable[Cost], bytes_of: Callable[[Cost], int]) -> float:
    return sum(storage_price(sheet, each.redundancy, bytes_of(each)) for each in counted)
