"""Principals: service principals that sign in, and the identities that vaults have."""

import base64
import hashlib
import hmac

import sqlalchemy as sa

from strongroom.catalog import principals, role_assignments
from strongroom.control.control import Control
from strongroom.model.errors import Unauthenticated
from strongroom.model.ids import uuid4
from strongroom.model.seams import Chance

_N, _R, _P = 1 << 14, 8, 1  # scrypt: 16 MiB, some 40 ms
_NOBODY = f"scrypt${base64.b64encode(bytes(16)).decode()}${base64.b64encode(bytes(64)).decode()}"


def hash_secret(secret: str, chance: Chance) -> str:
    """scrypt (RFC 7914), salted: what the catalogue keeps."""
    salt = chance.bytes(16)
    digest = hashlib.scrypt(secret.encode(), salt=salt, n=_N, r=_R, p=_P)
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _fits(secret: str, kept: str) -> bool:
    _, salt, digest = kept.split("$")
    found = hashlib.scrypt(secret.encode(), salt=base64.b64decode(salt), n=_N, r=_R, p=_P)
    return hmac.compare_digest(found, base64.b64decode(digest))


def create_service_principal(
    control: Control, name: str, app_id: str, secret: str, roles: list[tuple[str, str]]
) -> str:
    """A principal that signs in with a secret, with (role id, scope) from the start.

    One that is there already is left as it is. Returns its object id.
    """
    with control.database.writing() as connection:
        known = principals.find_by_app(connection, app_id)
        if known is not None:
            return str(known["id"])
        principal_id = str(uuid4(control.chance))
        now = control.clock.now()
        row = {
            "id": principal_id,
            "kind": "service",
            "display_name": name,
            "app_id": app_id,
            "secret_hash": hash_secret(secret, control.chance),
            "created_at": now,
        }
        principals.add(connection, row)
        for role_id, scope in roles:
            assignment = {
                "id": str(uuid4(control.chance)),
                "scope": scope,
                "scope_key": scope.lower(),
                "role_id": role_id,
                "principal_id": principal_id,
                "principal_type": "ServicePrincipal",
                "created_at": now,
                "created_by": "installation",
            }
            role_assignments.add(connection, assignment)
    return principal_id


def create_vault_identity(control: Control, connection: sa.Connection, vault: str) -> str:
    """A system-assigned identity: it never signs in. Returns its object id."""
    principal_id = str(uuid4(control.chance))
    row = {
        "id": principal_id,
        "kind": "vault",
        "display_name": vault,
        "created_at": control.clock.now(),
    }
    principals.add(connection, row)
    return principal_id


def remove_vault_identity(connection: sa.Connection, principal_id: str) -> None:
    """The vault is gone: so are its identity and the roles it held."""
    role_assignments.remove_of_principal(connection, principal_id)
    principals.remove(connection, principal_id)


def check_secret(control: Control, app_id: str, secret: str) -> str:
    """The object id of the principal whose secret this is; Unauthenticated otherwise."""
    with control.database.reading() as connection:
        row = principals.find_by_app(connection, app_id)
    kept = row["secret_hash"] if row is not None else None
    # An unknown client costs as much time as a wrong secret: nobody learns which ids exist.
    if not _fits(secret, kept or _NOBODY) or row is None or kept is None:
        raise Unauthenticated(
            "AADSTS7000215: Invalid client secret provided.",
            hint="use the clientId and clientSecret of connection.json",
            code="invalid_client",
        )
    return str(row["id"])
