"""Cost in the years ahead: by kind of point, against the budget; what changes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response
from whenever import Instant

from strongroom.control.overview import budgets, costs, outlook, savings
from strongroom.model.oversight.cost import Layers
from strongroom.model.protection.simple_policy import EVERY
from strongroom.web.portal.door import Guest, PortalRoute

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_ORDER = ("default", "daily", "weekly", "monthly", "yearly")  # the shortest first
_STEPS = (1, 2, 2.5, 5, 10)
_LINES = 5
HEIGHT = 240.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a bar: where it begins and how high it is, from the top, in pixels."""

    kind: str  # units, beside, newest, or a tag
    price: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One year's pieces, the lowest first; `between`: the pixels that it lies between, or None."""

    total: float
    pieces: list[Piece]
    between: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars: the first is now. lines: (price, y); `budget`: its y, or None."""

    bars: list[Bar]
    kinds: list[str]
    lines: list[tuple[float, float]]
    budget: float | None


@router.get("/cost/ahead")
def ahead(visit: Guest) -> Response:
    """A month, in each of the next ten years, by what is kept, and by policy."""
    counted = costs.costs_of_fleet(visit.control, visit.caller)
    found = outlook.outlook_of_fleet(visit.control, visit.caller, counted)
    budget = budgets.budget_of(visit.control)
    amount = budget.amount if budget else 0.0
    return visit.page(
        "cost_ahead.html",
        ahead=found,
        total=sum(each.total for each in counted),
        bars=bars_of(found.layers, found.low, found.high, amount) if found.layers else None,
        budget=budget,
        reached=_reached(found, amount),
        savings=savings.savings_of(visit.control, visit.caller, found),
        every=EVERY,
        currency=costs.price_sheet(visit.control).currency,
    )


def _reached(found: outlook.Outlook, amount: float) -> Instant | None:
    """The first anniversary at which it costs more than that; None: at none of them."""
    pairs = zip(found.moments, found.prices, strict=True)
    return next((at for at, price in pairs if price > amount), None)


def bars_of(
    layers: Sequence[Layers], low: Sequence[float], high: Sequence[float], budget: float
) -> Bars:
    """`low` and `high`: of all but the first, which is now. A budget far above it is not drawn."""
    most = max(*(each.total for each in layers), *high)
    drawn = budget if 0 < budget <= 2 * most else 0.0
    step = step_of(max(most, drawn))
    top = step * (int(max(most, drawn) / step) + 1)

    def y_of(price: float) -> float:
        return round(HEIGHT - HEIGHT * price / top, 1)

    kinds = _kinds_of(layers)
    ranges = [None, *((y_of(down), y_of(up)) for down, up in zip(low, high, strict=True))]
    bars = []
    for each, between in zip(layers, ranges, strict=True):
        pieces, under = [], 0.0
        for kind in kinds:
            price = _price_of(each, kind)
            y, under = y_of(under + price), under + price
            pieces.append(Piece(kind, price, y, round(y_of(under - price) - y, 1)))
        bars.append(Bar(each.total, pieces, between))
    lines = [(step * number, y_of(step * number)) for number in range(1, round(top / step) + 1)]
    return Bars(bars, kinds, lines, y_of(drawn) if drawn else None)


def _kinds_of(layers: Sequence[Layers]) -> list[str]:
    """The lowest first: what is paid whatever the policy says, then tags by how long they stay."""
    tags = {tag for each in layers for tag in each.tags}
    ranks = {tag: _ORDER.index(tag.lower()) if tag.lower() in _ORDER else 0 for tag in tags}
    kinds = ["units", "beside", "newest", *sorted(tags, key=lambda tag: (ranks[tag], tag))]
    return [kind for kind in kinds if any(_price_of(each, kind) > 0 for each in layers)]


def _price_of(each: Layers, kind: str) -> float:
    fixed = {"units": each.units, "beside": each.beside, "newest": each.newest}
    return fixed[kind] if kind in fixed else each.tags.get(kind, 0.0)


def step_of(most: float) -> float:
    """Between two lines of a picture that is so high: a round sum."""
    rough, size = most / _LINES or 1.0, 1.0
    while size * 10 <= rough:
        size *= 10
    while size > rough:
        size /= 10
    return next(size * each for each in _STEPS if size * each >= rough)
