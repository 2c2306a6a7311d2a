"""Policies: what there is, an editor with sentences for the usual ones, and ten years ahead."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response
from whenever import Instant

from strongroom.control.overview import costs
from strongroom.control.overview.offers import offers
from strongroom.control.protection import policies, previews
from strongroom.control.resources import vaults
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Invalid, NotFound, VaultError
from strongroom.model.policy import parse_policy
from strongroom.model.preview import Preview
from strongroom.model.simple_policy import EVERY, SimplePolicy, simple_of
from strongroom.model.verdict import promise_of
from strongroom.web.portal.band import Band, band_of_spans
from strongroom.web.portal.curve import curve_of
from strongroom.web.portal.door import Form, Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.places import InVault

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_POLICY = "/policies/{group}/{vault}/{name}"
YEARS = 10
_STEPS = 120  # moments of the curve


@dataclass(frozen=True, slots=True)
class Ahead:
    """How many points there will be: (year's end, by tag) and a curve of all of them.

    before: the same of the policy as it is saved, where that is another.
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
    before: "Ahead | None" = None


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
    return _editor(visit, ref, name, saved)


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
        return visit.page("ahead.html", ahead=found, error=None)
    return _editor(visit, ref, name, properties)


@router.post(_POLICY)
def save(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Points that exist keep what they were promised; less retention may need a second person."""
    policies.put_policy(visit.control, visit.caller, ref, name, _properties(form))
    home = f"/policies/{quote(ref.resource_group)}/{quote(ref.name)}/{quote(name)}"
    return visit.go(home)


@router.post(_POLICY + "/delete")
def delete(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """One that protects nothing goes."""
    del form
    policies.delete_policy(visit.control, visit.caller, ref, name)
    return visit.go("/policies")


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
    counts = {name: _count(form, name) for name in ("days", "weeks", "months", "years")}
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
    before = None if saved is None or saved == properties else look(saved)
    return replace(look(properties), before=before)


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
    try:
        versions = policies.list_versions(visit.control, visit.caller, ref, name)
    except NotFound:
        versions = []
    return visit.page(
        "policy.html",
        200 if error is None else 400,
        ref=ref,
        name=name,
        simple=simple_of(properties),
        text=json.dumps(properties, indent=2),
        every=EVERY,
        versions=versions,
        ahead=_ahead(visit, ref, name, properties),
        error=error,
        users=[s for s in visit.fleet.ships if s.policy == name and s.vault.is_same(ref)],
        may=offers(visit.control, visit.caller, scope, acts),
    )
