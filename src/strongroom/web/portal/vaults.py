"""Vaults: what locks them, what a deletion leaves for how long, and who must approve."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.overview.offers import offers
from strongroom.control.protection import deletions
from strongroom.control.resources import guards, vaults
from strongroom.model import arm
from strongroom.model.conditions import Conditions
from strongroom.model.soft_delete import soft_delete_of
from strongroom.model.vault import IMMUTABILITY, SOFT_DELETE, immutability_of
from strongroom.web.portal.door import Guest, PortalRoute, Sent
from strongroom.web.portal.places import InVault, vault_path

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_VAULT = "/vaults/{group}/{vault}"


@router.get("/vaults")
def list_vaults(visit: Guest) -> Response:
    """Every vault that they may see."""
    rows = [
        (row, immutability_of(row["properties"]), soft_delete_of(row["properties"]))
        for row in vaults.list_vaults(visit.control, visit.caller, None)
    ]
    return visit.page("vaults.html", rows=rows)


@router.get(_VAULT)
def vault(ref: InVault, visit: Guest) -> Response:
    """One vault: its locks, its guard, what lies in it, what was deleted."""
    row = vaults.get_vault(visit.control, visit.caller, ref)
    subscription = visit.control.installation.subscription_id
    acts = {"write": vaults.WRITE, "undelete": deletions.UNDELETE}
    scope = arm.vault_id_of(subscription, ref)
    return visit.page(
        "vault.html",
        row=row,
        home=vault_path(ref),
        immutability=immutability_of(row["properties"]),
        immutabilities=IMMUTABILITY,
        soft_delete=soft_delete_of(row["properties"]),
        soft_deletes=SOFT_DELETE,
        guard=guards.find_proxy(visit.control, visit.caller, ref),
        ships=[ship for ship in visit.fleet.ships if ship.vault.name == row["name"]],
        deleted=deletions.list_deleted(visit.control, visit.caller, ref),
        may=offers(visit.control, visit.caller, scope, acts),
    )


@router.post(_VAULT)
def change(ref: InVault, visit: Guest, form: Sent) -> Response:
    """Locks may be drawn tighter by one person; to loosen them takes a second under a guard."""
    security: dict[str, Any] = {}
    if form.text("immutability"):
        security["immutabilitySettings"] = {"state": form.text("immutability")}
    if form.text("soft_delete"):
        days = form.text("days")
        kept = float(days) if days.isascii() and days.isdigit() else days
        security["softDeleteSettings"] = {
            "state": form.text("soft_delete"),
            "retentionDurationInDays": kept,
        }
    body = {"properties": {"securitySettings": security}}
    vaults.patch_vault(visit.control, visit.caller, ref, body, Conditions())
    return visit.go(vault_path(ref))


@router.post(_VAULT + "/undelete")
def undelete(ref: InVault, visit: Guest, form: Sent) -> Response:
    """Have a deleted instance back."""
    deletions.undelete_instance(visit.control, visit.caller, ref, form.text("name"), "")
    return visit.go(vault_path(ref))
