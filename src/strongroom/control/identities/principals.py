"""People and programs that sign in: add one, list them, change one's own secret."""

import base64
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.identities import issuers, role_assignments, sessions
from strongroom.catalog.identities import principals as catalog
from strongroom.catalog.oversight import audit
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.identities import identity
from strongroom.control.identities.assertions import read_certificate
from strongroom.control.identities.role_assignments import check_last_approver
from strongroom.model import arm
from strongroom.model.errors import Conflict, Forbidden, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.identities.issuer import read_subject
from strongroom.model.ids import uuid4

READ = "Microsoft.Authorization/servicePrincipals/read"
WRITE = "Microsoft.Authorization/servicePrincipals/write"
DELETE = "Microsoft.Authorization/servicePrincipals/delete"


def add_principal(
    control: Control, caller: Caller, name: str, properties: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """Somebody who holds no role yet. Returns their row, and their secret if they have one.

    Whoever is named with an `issuer` signs in there; whoever is named with a `certificate` (PEM)
    proves to have its private key; everybody else is given a secret, this once, and should change
    it: `renew_secret`.
    """
    arm.check_name("guard", name)
    scope = arm.subscription_id_of(control.installation.subscription_id)
    with control.database.writing() as connection:
        require(control, connection, caller, WRITE, scope)
        if any(row["display_name"].lower() == name.lower() for row in _services(connection)):
            raise Conflict(f"there is a principal {name} already", hint="choose another name")
        trusted = arm.pick_text(properties, "issuer")
        if trusted:
            told, secret = _foreign(connection, trusted, properties), ""
        else:
            told, secret = _own(control, properties)
        now = control.clock.now()
        row = {"display_name": name, "created_at": now, **told}
        catalog.add(connection, row)
        seen = {"name": name, "kind": row["kind"], "clientId": row.get("app_id")}
        seen |= {key: row[key] for key in ("issuer_id", "subject", "certificate") if row.get(key)}
        audit.append(connection, now, caller, ("principal/create", row["id"]), after=seen)
    return row, secret


def _own(control: Control, properties: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    row = {
        "id": str(uuid4(control.chance)),
        "kind": "service",
        "app_id": str(uuid4(control.chance)),
    }
    certificate = arm.pick_text(properties, "certificate")
    if certificate:
        return row | {"certificate": read_certificate(certificate)}, ""
    secret = _secret(control)
    return row | {"secret_hash": identity.hash_secret(secret, control.chance)}, secret


def _foreign(
    connection: sa.Connection, trusted: str, properties: Mapping[str, Any]
) -> dict[str, Any]:
    found = issuers.find(connection, trusted)
    if found is None:
        raise NotFound(
            f"no issuer {trusted[:60]!r} is trusted",
            hint="trust it first: strongroom issuer add NAME URL",
        )
    kind, subject = read_subject(properties)
    principal_id = found.principal_of(kind, subject)
    known = catalog.find(connection, principal_id)
    if known is not None:
        raise Conflict(
            f"{subject[:80]!r} of {found.name} is here already, as {known['display_name']}",
            hint=f"its object id is {principal_id}",
        )
    return {"id": principal_id, "kind": kind, "issuer_id": found.id, "subject": subject}


def remove_principal(control: Control, caller: Caller, name: str) -> sa.RowMapping | None:
    """Somebody and all their roles go; by name or object id. None when they were not there."""
    scope = arm.subscription_id_of(control.installation.subscription_id)
    with control.database.writing() as connection:
        require(control, connection, caller, DELETE, scope)
        wanted = name.lower()
        found = next(
            (r for r in _services(connection) if wanted in {r["id"], r["display_name"].lower()}),
            None,
        )
        if found is None:
            return None
        if found["id"] == caller.principal_id:
            raise Conflict("nobody takes themselves away", hint="have another owner do it")
        if found["display_name"] == identity.ADMINISTRATOR:
            raise Conflict(
                "the installation's own administrator stays",
                hint="take its roles away: az role assignment delete",
            )
        for row in role_assignments.list_of_principal(connection, found["id"]):
            check_last_approver(connection, control, row)
        role_assignments.remove_of_principal(connection, found["id"])
        sessions.remove_of_principal(connection, found["id"])
        catalog.remove(connection, found["id"])
        what, before = ("principal/remove", found["id"]), {"name": found["display_name"]}
        audit.append(connection, control.clock.now(), caller, what, before=before)
    return found


def list_principals(control: Control, caller: Caller) -> list[sa.RowMapping]:
    """Those that sign in; not the identities of vaults."""
    scope = arm.subscription_id_of(control.installation.subscription_id)
    with control.database.reading() as connection:
        require(control, connection, caller, READ, scope)
        return _services(connection)


def renew_secret(control: Control, caller: Caller, principal_id: str) -> tuple[sa.RowMapping, str]:
    """Another secret for oneself; the one before opens nothing from now on."""
    if principal_id.lower() != caller.principal_id:
        raise Forbidden(
            "a secret is renewed by whom it belongs to",
            hint="sign in as that principal: strongroom principal renew --data DIRECTORY",
            code="AuthorizationFailed",
        )
    secret = _secret(control)
    with control.database.writing() as connection:
        row = catalog.find(connection, caller.principal_id)
        if row is None:
            raise NotFound("this principal is gone")
        if row["secret_hash"] is None:
            raise Conflict(
                "this principal signs in without a secret of ours", hint="ask its issuer"
            )
        digest = identity.hash_secret(secret, control.chance)
        catalog.change(connection, row["id"], secret_hash=digest)
        what = ("principal/renew", row["id"])
        audit.append(connection, control.clock.now(), caller, what)
    return row, secret


def _secret(control: Control) -> str:
    return base64.urlsafe_b64encode(control.chance.bytes(32)).decode().rstrip("=")


def _services(connection: sa.Connection) -> list[sa.RowMapping]:
    return [row for row in catalog.list_all(connection) if row["kind"] != "vault"]
