"""Cost: two meters, by instance, vault and tag, now and in months gone by; as pages and as CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from strongroom.control.overview import bills, budgets, costs
from strongroom.control.overview.offers import offers
from strongroom.model import arm
from strongroom.model.errors import Invalid, NotFound
from strongroom.model.oversight.bill import Bill, month_of
from strongroom.model.oversight.cost import UNIT_GB, Budget, Cost, PriceSheet
from strongroom.web.portal import render
from strongroom.web.portal.door import Form, Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.sheets import safe_row

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_PRICES = ("unit", "locally_redundant", "zone_redundant", "geo_redundant")
_ACTS = {"change": costs.CHANGE, "budget": budgets.CHANGE}
_COLUMNS = (
    *("instance", "vault", "redundancy", "currency", "counted on", "server bytes", "units"),
    *("stored bytes", "points", "unique bytes", "shared bytes", "log bytes", "other bytes"),
    *("bytes as full copies", "units cost", "storage cost", "total a month"),
    *("month to date", "storage cost as full copies"),
)
_BILLED = (
    *("month", "state", "instance", "vault", "redundancy", "currency"),
    *("unit months", "GB months", "units cost", "storage cost", "total"),
)


@router.get("/cost")
def cost(visit: Guest, by: Annotated[str, Query(max_length=60)] = "") -> Response:
    """Now and a month; `by` a tag's name: summed by its values."""
    found = costs.costs_of_fleet(visit.control, visit.caller)
    sheet = costs.price_sheet(visit.control)
    this = month_of(visit.now.to_tz("UTC").date())
    there = {each.instance_id for each in found}
    written = [
        bill
        for bill in bills.list_bills(visit.control, visit.caller)
        if bill.month < this or bill.instance_id not in there
    ]
    gone = [each for each in written if each.month == this and each.currency == sheet.currency]
    scope = arm.subscription_id_of(visit.control.installation.subscription_id)
    return visit.page(
        "cost.html",
        costs=found,
        gone=gone,
        ships={ship.id: ship for ship in visit.fleet.ships},
        dearest=max((each.total for each in found), default=0.0),
        sums=_sums(found, gone, by),
        months=_months(found, sheet.currency, written, this),
        by=by,
        tags=sorted({tag for each in found for tag in each.tags}),
        sheet=sheet,
        budget=budgets.budget_of(visit.control),
        month_left=_left_of_month(visit),
        prices=_PRICES,
        unit_gb=UNIT_GB,
        may=offers(visit.control, visit.caller, scope, _ACTS),
    )


def _left_of_month(visit: Visit) -> float:
    """The share of this month that is to come, in days of UTC: today is counted already."""
    today = visit.now.to_tz("UTC").date()
    return 1.0 - today.day / today.days_in_month()


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


@dataclass(slots=True)
class Month:
    """Of all instances: the two meters, and their prices."""

    month: str
    currency: str
    instances: int = 0
    unit_months: float = 0.0
    gb_months: float = 0.0
    total: float = 0.0
    closed: bool = False

    def add(self, units: float, gigabytes: float, total: float) -> None:
        """One instance more."""
        self.instances += 1
        self.unit_months += units
        self.gb_months += gigabytes
        self.total += total


def _months(there: list[Cost], currency: str, written: list[Bill], this: str) -> list[Month]:
    """The newest first: this one, of what is there and of what is `written`, and those before."""
    now = Month(this, currency)
    for cost in there:
        now.add(cost.so_far.unit_months, cost.so_far.gb_months, cost.month_to_date)
    found = {(this, currency): now}
    for bill in written:
        key = (bill.month, bill.currency)
        month = found.setdefault(key, Month(*key, closed=bill.month < this))
        month.closed &= bill.closed
        month.add(bill.unit_months, bill.gb_months, bill.total)
    return list(found.values())


@router.get("/cost/{month}")
def month(month: str, visit: Guest) -> Response:
    """What one month has cost, by instance: those that are gone by now too."""
    found = [each for each in bills.list_bills(visit.control, visit.caller) if each.month == month]
    if not found:
        raise NotFound(f"nothing was counted in {month[:20]}", hint="choose a month under Cost")
    there = {ship.id for ship in visit.fleet.ships}
    return visit.page("cost_month.html", month=month, bills=found, there=there)


def _sums(found: list[Cost], gone: list[Bill], by: str) -> list[Sum]:
    """The dearest first. What is gone by now has cost something until then."""
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
    for bill in gone:
        name = bill.tags.get(by, "(none)") if by else bill.vault
        sums.setdefault(name, Sum(name)).month_to_date += bill.total
    return sorted(sums.values(), key=lambda one: -one.total)


@router.get("/cost.csv")
def as_csv(visit: Guest) -> Response:
    """One line an instance, as it is now."""
    lines: list[Iterable[object]] = []
    found = costs.costs_of_fleet(visit.control, visit.caller)
    currency = costs.price_sheet(visit.control).currency
    tags = sorted({tag for each in found for tag in each.tags})
    lines.append([*_COLUMNS, *(f"tag {tag}" for tag in tags)])
    lines += ([*_row(each, currency), *(each.tags.get(t, "") for t in tags)] for each in found)
    return _file("cost", lines)


@router.get("/cost-by-month.csv")
def months_as_csv(visit: Guest) -> Response:
    """One line an instance and month, those that are gone by now too."""
    found = bills.list_bills(visit.control, visit.caller)
    tags = sorted({tag for each in found for tag in each.tags})
    lines: list[Iterable[object]] = [[*_BILLED, *(f"tag {tag}" for tag in tags)]]
    lines += ([*_billed(each), *(each.tags.get(t, "") for t in tags)] for each in found)
    return _file("cost-by-month", lines)


def _file(name: str, lines: list[Iterable[object]]) -> Response:
    text = io.StringIO()
    csv.writer(text).writerows(safe_row(line) for line in lines)
    named = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), headers={**render.HEADERS, **named}, media_type="text/csv")


def _billed(each: Bill) -> list[object]:
    """As the columns are named."""
    return [
        *(each.month, "closed" if each.closed else "to date", each.name, each.vault),
        *(each.redundancy, each.currency),
        *(f"{meter:.4f}" for meter in (each.unit_months, each.gb_months)),
        *(f"{price:.2f}" for price in (each.units_price, each.storage_price, each.total)),
    ]


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


@router.post("/cost/budget")
def change_budget(visit: Guest, form: Sent) -> Response:
    """What it may cost a month, and what that is called; no amount: no budget."""
    budget = None
    if form.text("amount"):
        budget = Budget(name=form.text("budget"), amount=_price(form, "amount"))
    budgets.put_budget(visit.control, visit.caller, budget)
    return visit.go("/cost")


def _price(form: Form, name: str) -> float:
    text = form.text(name)
    try:
        return float(text)
    except ValueError as error:
        raise Invalid(f"{text[:20]!r} is no price", hint="write it as 0.0197") from error
