"""Whose tokens are believed beside our own: an administrator says so, and the audit keeps it."""

import ssl
from typing import Any

from strongroom.catalog.identities import issuers as catalog
from strongroom.catalog.identities import principals, role_assignments
from strongroom.catalog.oversight import audit
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.identities.role_assignments import check_last_approver
from strongroom.model import arm
from strongroom.model.errors import Conflict, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.identities.issuer import Issuer, read_issuer
from strongroom.model.ids import uuid4

READ = "Microsoft.Authorization/trustedIssuers/read"
WRITE = "Microsoft.Authorization/trustedIssuers/write"
DELETE = "Microsoft.Authorization/trustedIssuers/delete"


def add_issuer(
    control: Control, caller: Caller, name: str, properties: dict[str, Any]
) -> tuple[Issuer, bool]:
    """Believe an issuer from now on. Returns it, and whether it is new.

    What is believed of one never changes: whoever could put another certificate or claim in its
    place would be everybody whom it vouches for.
    """
    own = control.installation.public_url
    with control.database.writing() as connection:
        require(control, connection, caller, WRITE, _scope(control))
        wish = read_issuer(str(uuid4(control.chance)), name, properties, own)
        _check_authority(wish.ca)
        known = catalog.find(connection, name) or catalog.find_by_url(connection, wish.url)
        if known is not None:
            if _facts(known) == _facts(wish):
                return known, False
            raise Conflict(
                f"{known.name} ({known.url}) is trusted already, in another way",
                hint=f"take it away first, and all its principals' roles with it: "
                f"strongroom issuer remove {known.name}",
            )
        now = control.clock.now()
        catalog.add(connection, wish, now, caller.principal_id)
        what = ("issuer/trust", wish.name)
        audit.append(connection, now, caller, what, after=_facts(wish))
    return wish, True


def list_issuers(control: Control, caller: Caller) -> list[Issuer]:
    """Every issuer that is believed."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control))
        return catalog.list_all(connection)


def get_issuer(control: Control, caller: Caller, name: str) -> Issuer:
    """One of them."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control))
        found = catalog.find(connection, name)
    if found is None:
        raise NotFound(f"no issuer {name[:60]!r} is trusted", hint="strongroom issuer list")
    return found


def remove_issuer(control: Control, caller: Caller, name: str) -> bool:
    """Believe it no longer: all it vouches for lose their roles. False when it was not there."""
    with control.database.writing() as connection:
        require(control, connection, caller, DELETE, _scope(control))
        found = catalog.find(connection, name)
        if found is None:
            return False
        gone = principals.list_of_issuer(connection, found.id)
        for principal in gone:
            for row in role_assignments.list_of_principal(connection, principal["id"]):
                check_last_approver(connection, control, row)
            role_assignments.remove_of_principal(connection, principal["id"])
            principals.remove(connection, principal["id"])
        catalog.remove(connection, found.id)
        what, told = ("issuer/distrust", found.name), {"principals": [row["id"] for row in gone]}
        audit.append(connection, control.clock.now(), caller, what, told, before=_facts(found))
    return True


def find_believed(control: Control, url: str) -> Issuer | None:
    """Who says `iss` so, if they are believed."""
    with control.database.reading() as connection:
        return catalog.find_by_url(connection, url)


def _scope(control: Control) -> str:
    return arm.subscription_id_of(control.installation.subscription_id)


def _facts(issuer: Issuer) -> dict[str, Any]:
    return {
        "name": issuer.name.lower(),
        "issuer": issuer.url,
        "audiences": list(issuer.audiences),
        "subjectClaim": issuer.subject_claim,
        "groupsClaim": issuer.groups_claim,
        "certificateAuthority": issuer.ca,
    }


def _check_authority(pem: str) -> None:
    try:
        if pem:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
        raise arm.invalid(
            "certificateAuthority is not a PEM certificate", "send the file of its authority"
        ) from error
