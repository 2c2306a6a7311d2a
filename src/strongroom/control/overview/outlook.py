"""What everything will cost: the forecasts of the policies in use, together."""

from collections.abc import Iterable
from dataclasses import dataclass

from whenever import Instant

from strongroom.control.basis.control import Control
from strongroom.control.overview import costs, fleet
from strongroom.control.protection import previews
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Forbidden, NotFound

YEARS = 10
_MOST_POLICIES = 30  # ten years of each are looked through


@dataclass(frozen=True, slots=True)
class PolicyAhead:
    """One policy that protects something; `cost.prices`: a month, at each of the moments."""

    vault: VaultRef
    name: str
    cost: costs.Forecast


@dataclass(frozen=True, slots=True)
class Outlook:
    """Anniversaries of now; the policies that protect most first.

    left_out: instances under other policies, or under one that has stored too little to go by.
    """

    moments: list[Instant]
    policies: list[PolicyAhead]
    left_out: int

    @property
    def prices(self) -> list[float]:
        """Of all, a month, at each of the moments; empty while there is nothing to go by."""
        return _sums(each.cost.prices for each in self.policies)

    @property
    def low(self) -> list[float]:
        """The same, if everything grows and changes half as much as until now."""
        return _sums(each.cost.low for each in self.policies)

    @property
    def high(self) -> list[float]:
        """The same, if it is half as much again."""
        return _sums(each.cost.high for each in self.policies)


def _sums(those: Iterable[list[float]]) -> list[float]:
    return [sum(year) for year in zip(*those, strict=True)]


def outlook_of_fleet(control: Control, caller: Caller) -> Outlook:
    """Of what the caller may see, under policies that they may read."""
    ships = fleet.see_fleet(control, caller).ships
    under: dict[tuple[object, str], list[fleet.Ship]] = {}
    for ship in ships:
        under.setdefault((ship.vault.key, ship.policy.lower()), []).append(ship)
    moments: list[Instant] = []
    found: list[PolicyAhead] = []
    for mine in sorted(under.values(), key=len, reverse=True)[:_MOST_POLICIES]:
        vault, name = mine[0].vault, mine[0].policy
        try:
            ahead = previews.preview_policy(
                control, caller, vault, name, properties=None, start=None, years=YEARS
            )
        except (Forbidden, NotFound):
            continue
        cost = costs.forecast_of(control, vault, mine, len(mine), ahead)
        if cost.prices:
            moments = moments or list(ahead.anniversaries())
            found.append(PolicyAhead(vault, name, cost))
    return Outlook(moments, found, len(ships) - sum(each.cost.instances for each in found))
