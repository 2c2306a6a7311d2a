"""What each instance costs, at the installation's own price sheet."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import sqlalchemy as sa
from whenever import Date, Instant

from strongroom.catalog.installation import installation
from strongroom.catalog.oversight import audit
from strongroom.catalog.usage import costs as catalog
from strongroom.catalog.usage import usage
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.overview import fleet
from strongroom.control.overview.fleet import Ship
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.oversight.cost import (
    GB,
    Cost,
    Day,
    Layers,
    Meters,
    PriceSheet,
    read_meters,
    storage_price,
    sum_of_layers,
    units_of,
)
from strongroom.model.oversight.forecast import (
    NEWEST,
    Measured,
    at_pace,
    measure,
    stored_by_tag,
    units_ahead,
)
from strongroom.model.points.preview import Preview
from strongroom.model.points.usage import Share, Usage

CHANGE = "Microsoft.Consumption/pricesheets/write"
_NAME = "price-sheet"
_MOST_MEASURED = 8  # instances of a policy that a forecast looks at
_LEAST_MEASURED, _MOST_FIRES = 3, 60_000  # fewer where its backups are so many
LOW, HIGH = 0.5, 1.5  # of the growth and the change until now
_MEASURED_DAYS = 400  # that it looks back
_LOOK_BACK_DAYS = 31  # for the last count before a month began


def price_sheet(control: Control) -> PriceSheet:
    """As somebody has written it, or Azure's list."""
    with control.database.reading() as connection:
        return sheet_of(connection)


def sheet_of(connection: sa.Connection) -> PriceSheet:
    """The same, within a transaction."""
    text = installation.get(connection, _NAME)
    return msgspec.json.decode(text, type=PriceSheet) if text else PriceSheet()


def put_price_sheet(control: Control, caller: Caller, sheet: PriceSheet) -> None:
    """Other prices from now on. Raises Invalid, Forbidden."""
    sheet.check()
    scope = arm.subscription_id_of(control.installation.subscription_id)
    before = msgspec.to_builtins(price_sheet(control))
    with control.database.writing() as connection:
        require(control, connection, caller, CHANGE, scope)
        installation.put(connection, _NAME, msgspec.json.encode(sheet).decode())
        now, after = control.clock.now(), msgspec.to_builtins(sheet)
        audit.append(connection, now, caller, ("prices/write", scope), before=before, after=after)


def costs_of_fleet(control: Control, caller: Caller) -> list[Cost]:
    """Of each instance that the caller may see, the dearest first."""
    sheet, ships = price_sheet(control), fleet.see_fleet(control, caller).ships
    today = control.clock.now().to_tz("UTC").date()
    since = today.replace(day=1).add(days=-_LOOK_BACK_DAYS).format_iso()
    with control.database.reading() as connection:
        later, days = usage.stored_later(connection), usage.since(connection, since)
        newest, began = usage.newest(connection), catalog.began(connection)
        kinds = catalog.redundancies(connection)
    found = []
    for ship in ships:
        kind = kinds[ship.vault.key]
        counted = newest.get(ship.id)
        cost = _cost_of(sheet, kind, ship, counted, later.get(ship.id, (0, 0, 0)))
        took = [
            Day(Date.parse_iso(u.day), u.server_bytes, u.stored_bytes)
            for u in days.get(ship.id, [])
        ]
        took += [Day(today, ship.size, cost.stored)]  # as it is now, not as it was at the count
        first = max(began[ship.id].to_tz("UTC").date(), today.replace(day=1))
        so_far = read_meters(took, first, today)
        to_date = sum(so_far.prices(sheet, kind))
        found.append(replace(cost, so_far=so_far, month_to_date=to_date))
    return sorted(found, key=lambda cost: -cost.total)


def _cost_of(
    sheet: PriceSheet, kind: str, ship: Ship, counted: Usage | None, later: tuple[int, int, int]
) -> Cost:
    """As it was counted, and what backups have put since."""
    stored, full, _ = later
    points = (counted.points_bytes if counted else 0) + stored
    whole = (counted.stored_bytes if counted else 0) + stored
    full += counted.full_bytes if counted else 0
    units = units_of(ship.size)
    return Cost(
        instance_id=ship.id,
        name=ship.name,
        vault=ship.vault.name,
        tags=ship.tags,
        redundancy=kind,
        size=ship.size,
        stored=whole,
        points_bytes=points,
        unique=(counted.unique_bytes if counted else 0) + stored,
        log=counted.log_bytes if counted else 0,
        other=counted.other_bytes + counted.waiting_bytes if counted else 0,
        as_full=full,
        points=ship.points,
        units=units,
        units_price=units * sheet.unit,
        storage_price=storage_price(sheet, kind, whole),
        as_full_price=storage_price(sheet, kind, full),
        so_far=Meters(0.0, 0.0),
        month_to_date=0.0,
        counted_on=counted.day if counted else "",
    )


def share_of_point(control: Control, point_id: str) -> Share | None:
    """What a point alone needs, and shares: as it was counted last. Who asks may see the point."""
    with control.database.reading() as connection:
        return usage.share_of(connection, point_id)


@dataclass(frozen=True, slots=True)
class Forecast:
    """prices: a month, of each year; empty while nothing was measured. instances: under it.

    layers: now and of each year, what is paid for. low, high: of each year, if everything grows
    and changes half as much as until now, or half as much again.
    """

    instances: int
    layers: list[Layers] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    @property
    def prices(self) -> list[float]:
        """Of each year, all layers together."""
        return [each.total for each in self.layers[1:]]


def forecast_policy(
    control: Control, caller: Caller, vault: VaultRef, policy: str, ahead: Preview
) -> Forecast:
    """A month, at each anniversary of a look ahead, of what the caller may see under the policy.

    From what its points have stored until now, and how they have grown. Where it protects
    nothing yet: of one instance as those are, on average, that the caller sees elsewhere.
    """
    there = fleet.see_fleet(control, caller).ships
    mine = [
        ship
        for ship in there
        if ship.policy.lower() == policy.lower() and ship.vault.is_same(vault)
    ]
    measures = measures_of(control, vault, mine or there, len(mine), len(ahead.fires))
    return forecast_of(measures, len(mine), ahead)


@dataclass(frozen=True, slots=True)
class Measures:
    """What a forecast goes by: some instances, each for `count` of them, and their prices."""

    seen: Sequence[Measured]
    count: float
    sheet: PriceSheet
    redundancy: str

    def layers_at(self, ahead: Preview, moments: Sequence[Instant], pace: float) -> list[Layers]:
        """At each of these moments, if all go on at that share of their pace."""
        days = [(at - ahead.start).total("hours") / 24 for at in moments]
        years: list[list[Layers]] = [[] for _ in moments]
        of_byte = self.sheet.of_gb(self.redundancy) / GB * self.count
        for each in (at_pace(one, pace) for one in self.seen):
            stored = stored_by_tag(each, ahead, moments)
            for year, by_tag, day in zip(years, stored, days, strict=True):
                prices = {tag: size * of_byte for tag, size in by_tag.items()}
                newest = prices.pop(NEWEST, 0.0)
                units = units_ahead(self.sheet, each, day) * self.count
                year.append(Layers(units, newest, prices))
        return [sum_of_layers(year) for year in years]


def measures_of(
    control: Control, vault: VaultRef, ships: Sequence[Ship], instances: int, fires: int
) -> Measures:
    """For so many instances in that vault as these are on average; for one where there is none.

    fires: backups that a look ahead goes through with each of those that are measured.
    """
    most = max(_LEAST_MEASURED, min(_MOST_MEASURED, _MOST_FIRES // max(1, fires)))
    looked = ships[:: max(1, len(ships) // most)][:most]
    sizes = {ship.id: ship.size for ship in looked}
    since = control.clock.now().subtract(hours=24 * _MEASURED_DAYS)
    with control.database.reading() as connection:
        taken = catalog.taken_by(connection, list(sizes), since)
        kinds = catalog.redundancies(connection)
    seen = [found for of, points in taken.items() if (found := measure(points, sizes[of]))]
    count = (instances or 1) / max(1, len(seen))
    return Measures(seen, count, price_sheet(control), kinds[vault.key])


def forecast_of(measures: Measures, instances: int, ahead: Preview) -> Forecast:
    """Of so many instances, at each anniversary."""
    if not measures.seen:
        return Forecast(instances)
    years = list(ahead.anniversaries())
    layers = measures.layers_at(ahead, [ahead.start, *years], 1.0)
    prices = [each.total for each in layers[1:]]
    low, high = (
        [each.total for each in measures.layers_at(ahead, years, pace)] for pace in (LOW, HIGH)
    )
    return Forecast(
        instances,
        layers,
        low=[min(pair) for pair in zip(low, prices, strict=True)],
        high=[max(pair) for pair in zip(high, prices, strict=True)],
    )
