"""Cost: two meters, by instance, vault and tag; as a page and as CSV."""

import csv
import io
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from strongroom.control import costs
from strongroom.control.offers import offers
from strongroom.model import arm
from strongroom.model.cost import UNIT_GB, Cost, PriceSheet
from strongroom.model.errors import Invalid
from strongroom.web.portal import render
from strongroom.web.portal.door import Form, Guest, PortalRoute, Sent
from strongroom.web.portal.sheets import safe_row

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_PRICES = ("unit", "locally_redundant", "zone_redundant", "geo_redundant")
_COLUMNS = (
    *("instance", "vault", "redundancy", "currency", "counted on", "server bytes", "units"),
    *("stored bytes", "points", "unique bytes", "shared bytes", "log bytes", "other bytes"),
    *("bytes as full copies", "units cost", "storage cost", "total a month"),
    *("month to date", "storage cost as full copies"),
)


@router.get("/cost")
def cost(visit: Guest, by: Annotated[str, Query(max_length=60)] = "") -> Response:
    """Now and a month; `by` a tag's name: summed by its values."""
    found = costs.costs_of_fleet(visit.control, visit.caller)
    scope = arm.subscription_id_of(visit.control.installation.subscription_id)
    return visit.page(
        "cost.html",
        costs=found,
        sums=_sums(found, by),
        by=by,
        tags=sorted({tag for each in found for tag in each.tags}),
        sheet=costs.price_sheet(visit.control),
        prices=_PRICES,
        unit_gb=UNIT_GB,
        may=offers(visit.control, visit.caller, scope, {"change": costs.CHANGE}),
    )


@dataclass(slots=True)
class Sum:
    """Of a vault, or of a tag's value."""

    name: str
    instances: int = 0
    stored: int = 0
    unique: int = 0
    shared: int = 0
    total: float = 0.0
    month_to_date: float = 0.0


def _sums(found: list[Cost], by: str) -> list[Sum]:
    """The dearest first."""
    sums: dict[str, Sum] = {}
    for each in found:
        name = each.tags.get(by, "(none)") if by else each.vault
        one = sums.setdefault(name, Sum(name))
        one.instances += 1
        one.stored += each.stored
        one.unique += each.unique
        one.shared += each.shared
        one.total += each.total
        one.month_to_date += each.month_to_date
    return sorted(sums.values(), key=lambda one: -one.total)


@router.get("/cost.csv")
def as_csv(visit: Guest) -> Response:
    """One line an instance."""
    text = io.StringIO()
    lines = csv.writer(text)
    found = costs.costs_of_fleet(visit.control, visit.caller)
    currency = costs.price_sheet(visit.control).currency
    tags = sorted({tag for each in found for tag in each.tags})
    lines.writerow([*_COLUMNS, *safe_row(f"tag {tag}" for tag in tags)])
    for each in found:
        lines.writerow(safe_row([*_row(each, currency), *(each.tags.get(t, "") for t in tags)]))
    named = {"Content-Disposition": 'attachment; filename="cost.csv"'}
    return Response(text.getvalue(), headers={**render.HEADERS, **named}, media_type="text/csv")


def _row(each: Cost, currency: str) -> list[object]:
    """As the columns are named."""
    prices = (each.units_price, each.storage_price, each.total, each.month_to_date)
    return [
        *(
            each.name,
            each.vault,
            each.redundancy,
            currency,
            each.counted_on,
            each.size,
            each.units,
        ),
        *(each.stored, each.points, each.unique, each.shared, each.log, each.other, each.as_full),
        *(f"{price:.2f}" for price in (*prices, each.as_full_price)),
    ]


@router.post("/cost/prices")
def change_prices(visit: Guest, form: Sent) -> Response:
    """Your own prices."""
    prices = {name: _price(form, name) for name in _PRICES}
    sheet = PriceSheet(currency=form.text("currency"), **prices)
    costs.put_price_sheet(visit.control, visit.caller, sheet)
    return visit.go("/cost")


def _price(form: Form, name: str) -> float:
    text = form.text(name)
    try:
        return float(text)
    except ValueError as error:
        raise Invalid(f"{text[:20]!r} is no price", hint="write it as 0.0197") from error
