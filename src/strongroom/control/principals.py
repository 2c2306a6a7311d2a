"""People and programs that sign in: add one, list them, change one's own secret."""

import base64
from typing import Any

import sqlalchemy as sa

from strongroom.catalog import audit
from strongroom.catalog import principals as catalog
from strongroom.control import identity
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.errors import Conflict, Forbidden, NotFound
from strongroom.model.ids import uuid4

READ = "Microsoft.Authorization/servicePrincipals/read"
WRITE = "Microsoft.Authorization/servicePrincipals/write"


def add_principal(control: Control, caller: Caller, name: str) -> tuple[dict[str, Any], str]:
    """One that signs in with a secret, and holds no role yet. Returns its row and the secret.

    The secret is given this once. Whoever is given it should change it: `renew_secret`.
    """
    arm.check_name("guard", name)
    scope = arm.subscription_id_of(control.installation.subscription_id)
    secret, now = _secret(control), control.clock.now()
    with control.database.writing() as connection:
        require(control, connection, caller, WRITE, scope)
        if any(row["display_name"].lower() == name.lower() for row in _services(connection)):
            raise Conflict(f"there is a principal {name} already", hint="choose another name")
        row: dict[str, Any] = {
            "id": str(uuid4(control.chance)),
            "kind": "service",
            "display_name": name,
            "app_id": str(uuid4(control.chance)),
            "secret_hash": identity.hash_secret(secret, control.chance),
            "created_at": now,
        }
        catalog.add(connection, row)
        told = {"name": name, "clientId": row["app_id"]}
        audit.append(connection, now, caller, ("principal/create", row["id"]), after=told)
    return row, secret


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
        digest = identity.hash_secret(secret, control.chance)
        catalog.change(connection, row["id"], secret_hash=digest)
        what = ("principal/renew", row["id"])
        audit.append(connection, control.clock.now(), caller, what)
    return row, secret


def _secret(control: Control) -> str:
    return base64.urlsafe_b64encode(control.chance.bytes(32)).decode().rstrip("=")


def _services(connection: sa.Connection) -> list[sa.RowMapping]:
    return [row for row in catalog.list_all(connection) if row["kind"] == "service"]
