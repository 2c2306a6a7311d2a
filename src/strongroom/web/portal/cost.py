"""Cost: two meters, by instance, vault and tag; as a page and as CSV."""

import csv
import io
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

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_PRICES = ("unit", "locally_redundant", "zone_redundant", "geo_redundant")
_COLUMNS = (
    *("instance", "vault", "redundancy", "server bytes", "units", "stored bytes"),
    *("points", "bytes as full copies", "units cost", "storage cost", "total"),
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


def _sums(found: list[Cost], by: str) -> list[tuple[str, int, int, float]]:
    """(vault or tag's value, instances, stored bytes, a month), the dearest first."""
    sums: dict[str, tuple[int, int, float]] = {}
    for each in found:
        name = each.tags.get(by, "(none)") if by else each.vault
        count, stored, total = sums.get(name, (0, 0, 0.0))
        sums[name] = (count + 1, stored + each.stored, total + each.total)
    return sorted(((name, *rest) for name, rest in sums.items()), key=lambda row: -row[3])


@router.get("/cost.csv")
def as_csv(visit: Guest) -> Response:
    """One line an instance."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(_COLUMNS)
    for each in costs.costs_of_fleet(visit.control, visit.caller):
        sizes = (each.size, each.units, each.stored, each.points, each.as_full)
        prices = (each.units_price, each.storage_price, each.total)
        names = (each.name, each.vault, each.redundancy)
        lines.writerow([*names, *sizes, *(f"{price:.2f}" for price in prices)])
    named = {"Content-Disposition": 'attachment; filename="cost.csv"'}
    return Response(text.getvalue(), headers={**render.HEADERS, **named}, media_type="text/csv")


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
