"""Vaults: what locks them, what a deletion leaves for how long, and who must approve."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.oversight import audit
from strongroom.control.overview import footprints
from strongroom.control.overview.fleet import Ship
from strongroom.control.overview.offers import offers
from strongroom.control.overview.shut import what_holds_shut
from strongroom.control.protection import deletions
from strongroom.control.resources import guards, vaults
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.conditions import Conditions
from strongroom.model.oversight.audit import Record
from strongroom.model.oversight.audit_filter import AuditFilter
from strongroom.model.resources.soft_delete import soft_delete_of
from strongroom.model.resources.vault import IMMUTABILITY, SOFT_DELETE, immutability_of
from strongroom.web.portal.audit_words import told_of
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.places import InVault, vault_path

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_VAULT = "/vaults/{group}/{vault}"
_RECORDS = 8


@router.get("/vaults")
def list_vaults(visit: Guest) -> Response:
    """Every vault that they may see."""
    lying: dict[object, list[Ship]] = {}
    for ship in visit.fleet.ships:
        lying.setdefault(ship.vault.key, []).append(ship)
    rows = []
    for row in vaults.list_vaults(visit.control, visit.caller, None):
        ref = VaultRef(resource_group=row["resource_group"], name=row["name"])
        told = row["properties"]
        rows.append((row, immutability_of(told), soft_delete_of(told), lying.get(ref.key, [])))
    return visit.page("vaults.html", rows=rows)


@router.get(_VAULT)
def vault(ref: InVault, visit: Guest) -> Response:
    """One vault: its locks, its guard, what lies in it, what was deleted."""
    row = vaults.get_vault(visit.control, visit.caller, ref)
    subscription = visit.control.installation.subscription_id
    acts = {"write": vaults.WRITE, "undelete": deletions.UNDELETE}
    scope = arm.vault_id_of(subscription, ref)
    ships = [ship for ship in visit.fleet.ships if ship.vault.is_same(ref)]
    return visit.page(
        "vault.html",
        row=row,
        home=vault_path(ref),
        immutability=immutability_of(row["properties"]),
        immutabilities=IMMUTABILITY,
        soft_delete=soft_delete_of(row["properties"]),
        soft_deletes=SOFT_DELETE,
        guard=guards.find_proxy(visit.control, visit.caller, ref),
        ships=ships,
        left=footprints.left_without_backups(visit.control, ships),
        scope=scope,
        told=told_of(visit, _records(visit, scope)),
        shut=what_holds_shut(visit.control, row["properties"], ships),
        deleted=deletions.list_deleted(visit.control, visit.caller, ref),
        may=offers(visit.control, visit.caller, scope, acts),
    )


def _records(visit: Visit, scope: str) -> list[Record]:
    """The newest of the audit of one vault; none for whoever may not read it."""
    control, caller = visit.control, visit.caller
    whole = arm.subscription_id_of(control.installation.subscription_id)
    if not offers(control, caller, whole, {"read": audit.READ})["read"]:
        return []
    return audit.newest_records(control, caller, 0, AuditFilter(scope=scope), _RECORDS)


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
