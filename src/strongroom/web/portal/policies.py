"""Policies: what there is, an editor with sentences for the usual ones, and ten years ahead."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response
from whenever import Instant

from strongroom.control.identities.people import names_of
from strongroom.control.overview import costs
from strongroom.control.overview.fleet import Ship
from strongroom.control.overview.offers import offers
from strongroom.control.protection import drill_wishes, policies, previews
from strongroom.control.resources import vaults
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Invalid, NotFound, VaultError
from strongroom.model.points.preview import Preview
from strongroom.model.protection.less_retention import less_kept
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.simple_policy import EVERY, SimplePolicy, simple_of
from strongroom.model.protection.verdict import GRACE, promise_of
from strongroom.web.portal import words
from strongroom.web.portal.band import Band, band_of_spans
from strongroom.web.portal.curve import curve_of
from strongroom.web.portal.door import Form, Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.places import InVault

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_POLICY = "/policies/{group}/{vault}/{name}"
YEARS = 10
_STEPS = 120  # moments of the curve
_DURATION = re.compile(r"\bP(\d+)([YMWD])\b")
_UNITS = {"Y": "year", "M": "month", "W": "week", "D": "day"}
_COUNTS = ("days", "weeks", "months", "years", "window")
_FIELDS = frozenset({"every", "at", "zone", *_COUNTS})


@dataclass(frozen=True, slots=True)
class Ahead:
    """How many points there will be: (year's end, by tag) and a curve of all of them.

    before: the same of the policy as it is saved, where that is another; less: what of it would
    be kept less, in words. alarm: seconds after which a newest point is too old.
    """

    tags: list[str]
    start: Instant
    years: list[tuple[Instant, dict[str, int], int]]
    curve: str  # SVG path over 1000 x 100
    most: int
    cost: costs.Forecast
    currency: str
    band: Band | None  # of the points that are there then
    until: Instant
    alarm: float
    before: "Ahead | None" = None
    less: list[str] = field(default_factory=list)


def ahead_of(
    found: Preview, price: Callable[[Preview], costs.Forecast], currency: str, zone: str
) -> Ahead:
    """A preview as pictures and a table; `price`: what it will cost."""
    kept = [each.fire for each in found.at(found.until)]
    spans = [(fire.at, fire.verdict.expires_at, fire.verdict.tag) for fire in kept]
    length = (found.until - found.start) / _STEPS
    moments = [found.start + length * step for step in range(_STEPS + 1)]
    totals = [sum(counts.values()) for _, counts in found.counts(moments)]
    most = max(totals, default=1) or 1
    years = [
        (moment, counts, sum(counts.values()))
        for moment, counts in found.counts(found.anniversaries())
    ]
    tags = [rule.name for rule in found.policy.retention_rules]
    return Ahead(
        tags,
        found.start,
        years,
        curve_of(totals),
        most,
        price(found),
        currency,
        band_of_spans(spans, found.until, zone),
        found.until,
        promise_of(found.policy) * GRACE,
    )


@router.get("/policies")
def list_policies(visit: Guest) -> Response:
    """Those of every vault, and how many instances each protects."""
    used = Counter((ship.vault.key, ship.policy.lower()) for ship in visit.fleet.ships)
    rows = []
    homes = vaults.list_vaults(visit.control, visit.caller, None)
    for vault in homes:
        ref = VaultRef(resource_group=vault["resource_group"], name=vault["name"])
        for row in policies.list_policies(visit.control, visit.caller, ref):
            count = used[(ref.key, row["name"].lower())]
            kept = parse_policy(row["properties"])
            rows.append((ref, row, kept, promise_of(kept), count))
    return visit.page("policies.html", rows=rows, vaults=homes)


@router.get(_POLICY)
def policy(name: str, ref: InVault, visit: Guest) -> Response:
    """One policy, or a new one of this name, to be written."""
    saved = _saved(visit, ref, name)
    if saved is None:
        arm.check_name("policy", name)
        vaults.get_vault(visit.control, visit.caller, ref)
        saved = SimplePolicy().to_properties()
    return _editor(visit, ref, name, _asked_for(visit, saved))


def _asked_for(visit: Visit, saved: dict[str, Any]) -> dict[str, Any]:
    """A link may fill in any field of a policy that sentences can say; nothing is changed."""
    simple, told = simple_of(saved), visit.request.query_params
    given = {name: [told[name][:60]] for name in _FIELDS if name in told}
    if simple is None or not given:
        return saved
    form = Form({name: [str(value)] for name, value in msgspec.structs.asdict(simple).items()})
    return _properties(Form(form | given))


@router.post("/policies/new")
def new_policy(visit: Guest, form: Sent) -> Response:
    """To the editor of a policy that is not there yet."""
    group, _, vault = form.text("vault").partition("/")
    name = arm.check_name("policy", form.text("name"))
    return visit.go(f"/policies/{quote(group)}/{quote(vault)}/{quote(name)}")


@router.post(_POLICY + "/preview")
def preview(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """What the form would keep in ten years; nothing is changed."""
    try:
        properties = _properties(form)
        found = _ahead(visit, ref, name, properties)
    except VaultError as error:
        if visit.is_part:
            return visit.page("ahead.html", ahead=None, error=error)
        return _editor(visit, ref, name, SimplePolicy().to_properties(), error)
    if visit.is_part:
        guarded = vaults.get_vault(visit.control, visit.caller, ref)["guard_id"]
        return visit.page("ahead.html", ahead=found, error=None, guarded=guarded)
    return _editor(visit, ref, name, properties)


@router.post(_POLICY)
def save(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Points that exist keep what they were promised; less retention may need a second person."""
    policies.put_policy(visit.control, visit.caller, ref, name, _properties(form))
    if form.text("drill") and form.text("drill") != _drill_weeks(visit, _users(visit, ref, name)):
        days = 7 * _count(form, "drill")
        drill_wishes.wish_drills(visit.control, visit.caller, ref, name, days)
    home = f"/policies/{quote(ref.resource_group)}/{quote(ref.name)}/{quote(name)}"
    return visit.go(home)


@router.post(_POLICY + "/delete")
def delete(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """One that protects nothing goes."""
    del form
    policies.delete_policy(visit.control, visit.caller, ref, name)
    return visit.go("/policies")


def _users(visit: Visit, ref: VaultRef, name: str) -> list[Ship]:
    """What it protects, and they may see."""
    ships = visit.fleet.ships
    return [ship for ship in ships if ship.policy == name and ship.vault.is_same(ref)]


def _drill_weeks(visit: Visit, users: Sequence[Ship]) -> str:
    """Between two drills of each of them, as a field has it; empty where they differ."""
    days = drill_wishes.drill_days_of(visit.control, [ship.id for ship in users])
    return str(-(-days.pop() // 7)) if len(days) == 1 else ""


def _properties(form: Form) -> dict[str, Any]:
    if form.text("json"):
        try:
            found = json.loads(form.text("json"))
        except ValueError as error:
            raise Invalid("the policy is not JSON", hint=f"mend it: {error}") from error
        if not isinstance(found, dict):
            raise Invalid("the policy is not an object of JSON", hint="write {...}")
        return found
    texts = {name: form.text(name) for name in ("every", "at", "zone", "backup_type", "rule")}
    counts = {name: _count(form, name) for name in _COUNTS}
    return SimplePolicy(anchor=form.text("anchor"), **texts, **counts).to_properties()  # type: ignore[arg-type]


def _count(form: Form, name: str) -> int:
    text = form.text(name) or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise Invalid(f"{name}: {text[:20]!r} is no number", hint="write how many are kept")
    return int(text)


def _ahead(visit: Visit, ref: VaultRef, name: str, properties: dict[str, Any]) -> Ahead:
    currency = costs.price_sheet(visit.control).currency

    def price(ahead: Preview) -> costs.Forecast:
        return costs.forecast_policy(visit.control, visit.caller, ref, name, ahead)

    def look(those: dict[str, Any]) -> Ahead:
        found = previews.preview_policy(
            visit.control, visit.caller, ref, name, properties=those, start=None, years=YEARS
        )
        return ahead_of(found, price, currency, visit.zone)

    saved = _saved(visit, ref, name)
    if saved is None or saved == properties:
        return look(properties)
    less = [
        _DURATION.sub(_length, each)
        for each in less_kept(parse_policy(saved), parse_policy(properties))
    ]
    return replace(look(properties), before=look(saved), less=less)


def _length(found: re.Match[str]) -> str:
    """8 weeks, of P8W."""
    return words.many(int(found[1]), _UNITS[found[2]])


def _saved(visit: Visit, ref: VaultRef, name: str) -> dict[str, Any] | None:
    """The policy as it is; None where it was not saved yet."""
    try:
        row = policies.get_policy(visit.control, visit.caller, ref, name)
    except NotFound:
        return None
    found: dict[str, Any] = json.loads(row["properties"])
    return found


def _editor(
    visit: Visit,
    ref: VaultRef,
    name: str,
    properties: dict[str, Any],
    error: VaultError | None = None,
) -> Response:
    subscription = visit.control.installation.subscription_id
    scope = arm.policy_id_of(subscription, ref, name)
    acts = {"write": policies.WRITE, "delete": policies.DELETE}
    place = (visit.control, visit.caller)
    saved = _saved(visit, ref, name)
    versions = [] if saved is None else policies.list_versions(*place, ref, name)
    users = _users(visit, ref, name)
    return visit.page(
        "policy.html",
        200 if error is None else 400,
        ref=ref,
        name=name,
        simple=simple_of(properties),
        was=simple_of(saved or properties),
        edited=saved is not None and saved != properties,
        guarded=vaults.get_vault(*place, ref)["guard_id"],
        weeks=_drill_weeks(visit, users),
        text=json.dumps(properties, indent=2),
        every=EVERY,
        versions=[(row, simple_of(row["properties"])) for row in versions],
        names=names_of(visit.control, {row["created_by"] for row in versions}),
        ahead=_ahead(visit, ref, name, properties),
        error=error,
        users=users,
        may=offers(visit.control, visit.caller, scope, acts),
    )
