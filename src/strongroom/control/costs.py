"""What each instance costs, at the installation's own price sheet."""

import msgspec

from strongroom.catalog import audit, installation
from strongroom.catalog import costs as catalog
from strongroom.control import fleet
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.cost import (
    Cost,
    Measured,
    PriceSheet,
    forecast,
    storage_price,
    units_of,
)

CHANGE = "Microsoft.Consumption/pricesheets/write"
_NAME = "price-sheet"
_MOST_MEASURED = 500  # instances of a policy that a forecast looks at


def price_sheet(control: Control) -> PriceSheet:
    """As somebody has written it, or Azure's list."""
    with control.database.reading() as connection:
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
    with control.database.reading() as connection:
        stored = catalog.stored_by_instance(connection)
        kinds = catalog.redundancies(connection)
    found = []
    for ship in ships:
        kept, as_full, points = stored.get(ship.id, (0, 0, 0))
        kind = kinds[(ship.vault.resource_group.lower(), ship.vault.name.lower())]
        units = units_of(ship.size)
        found.append(
            Cost(
                name=ship.name,
                vault=ship.vault.name,
                tags=ship.tags,
                redundancy=kind,
                size=ship.size,
                stored=kept,
                as_full=as_full,
                points=points,
                units=units,
                units_price=units * sheet.unit,
                storage_price=storage_price(sheet, kind, kept),
            )
        )
    return sorted(found, key=lambda cost: -cost.total)


def forecast_policy(
    control: Control, caller: Caller, vault: VaultRef, policy: str, points: list[int]
) -> list[float]:
    """A month, for each number of points, of all instances of the policy that the caller may see.

    From what their points have stored until now, and no growth. Empty while nothing was measured.
    """
    ships = [
        ship
        for ship in fleet.see_fleet(control, caller).ships
        if ship.policy.lower() == policy.lower() and ship.vault.name.lower() == vault.name.lower()
    ][:_MOST_MEASURED]
    with control.database.reading() as connection:
        means = catalog.means_by_kind(connection, [ship.id for ship in ships])
        kinds = catalog.redundancies(connection)
    if not means:
        return []
    whole = means.get("Full") or means.get("Logical") or next(iter(means.values()))
    change = means.get("Incremental") or whole
    seen = Measured(
        instances=len(ships),
        units=sum(units_of(ship.size) for ship in ships),
        whole=whole[0],
        change=change[0],
    )
    sheet = price_sheet(control)
    kind = kinds[(vault.resource_group.lower(), vault.name.lower())]
    return [forecast(sheet, kind, seen, count) for count in points]
