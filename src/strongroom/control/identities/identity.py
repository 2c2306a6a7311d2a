"""Principals: service principals that sign in, and the identities that vaults have."""

import base64
import hashlib
import hmac
from collections.abc import Callable

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.identities import principals, role_assignments, sign_ins
from strongroom.catalog.installation import installation
from strongroom.catalog.oversight import audit
from strongroom.control.basis.control import Control
from strongroom.model.errors import Precondition, SlowDown, Unauthenticated
from strongroom.model.ids import uuid4
from strongroom.model.seams import Chance

_N, _R, _P = 1 << 14, 8, 1  # scrypt: 16 MiB, some 40 ms
FREE_TRIES = 5
LONGEST_WAIT = 60.0  # seconds
ADMINISTRATOR = "administrator"  # the first one, whom an installation makes itself
Check = Callable[[sa.RowMapping | None], str]  # the object id, or Unauthenticated
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


def claim_catalogue(database: Database, installation_id: str) -> None:
    """This installation's, from the first start on. Precondition when it is another's.

    Another one's rows would be sealed to keys that we do not have, and ours to keys that it has
    not. The id of an installation is its tenant's.
    """
    with database.writing() as connection:
        owner = installation.claim(connection, installation_id)
    if owner != installation_id:
        raise Precondition(
            f"the catalogue belongs to installation {owner}, and this directory to "
            f"{installation_id}",
            hint="name another catalogue, or start each `serve` with a copy of the first one's "
            "data directory",
        )


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
        told = {"name": name, "clientId": app_id, "roles": [list(role) for role in roles]}
        what = ("principal/create", principal_id)
        audit.append(connection, now, "installation", what, after=told)
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


def sign_in(control: Control, address: str, app_id: str, secret: str) -> str:
    """The object id of the principal whose secret this is. Raises Unauthenticated, SlowDown."""
    return sign_in_with(control, address, app_id, lambda row: _checked(row, secret))


def sign_in_client(control: Control, address: str, app_id: str, secret: str) -> str:
    """The same of service principals alone: a person's password opens the portal, and no tokens.

    A token would outlive the sessions that a changed password ends.
    """

    def check(row: sa.RowMapping | None) -> str:
        return _checked(row if row is not None and row["kind"] == "service" else None, secret)

    return sign_in_with(control, address, app_id, check)


def sign_in_with(control: Control, address: str, app_id: str, check: Check) -> str:
    """The same with any proof: `check` is given the principal, if there is one.

    Failures in a row are counted by (address, client id), in the catalogue: however many `serve`
    processes answer, a guesser waits. After `FREE_TRIES` of them each further try waits twice as
    long as the one before, a minute at most, and there is one try at a time.
    """
    who, now = f"{address[:64]} {app_id[:64]}", control.clock.now()
    with control.database.reading() as connection:
        before = sign_ins.failures(connection, who)
        row = principals.find_by_app(connection, app_id)
    failed = 0 if before is None else before[0]
    claimed = failed >= FREE_TRIES
    if before is not None and claimed:
        _take_turn(control, who, *before)
    try:
        found = check(row)
    except Unauthenticated:
        if not claimed:
            with control.database.writing() as connection:
                sign_ins.add_failure(connection, who, now)
                sign_ins.forget_before(connection, now.subtract(hours=1))
        raise
    if before is not None:
        with control.database.writing() as connection:
            sign_ins.forget(connection, who)
    return found


def pause_after(failures: int) -> float:
    """Seconds that whoever failed so often in a row has to wait."""
    if failures < FREE_TRIES:
        return 0.0
    return min(2.0 ** min(failures - FREE_TRIES, 10), LONGEST_WAIT)


def _take_turn(control: Control, who: str, failed: int, last_at: Instant) -> None:
    """The wait is over, and no other process has begun the try that comes next."""
    now, pause = control.clock.now(), pause_after(failed)
    wait = min(pause - (now - last_at).total("seconds"), pause)
    if wait <= 0:
        with control.database.writing() as connection:
            if sign_ins.claim_try(connection, who, failed, now):
                return
        wait = pause
    raise SlowDown(
        "AADSTS50196: too many failed sign-ins in a row; wait before the next one.",
        hint="see that the secret is the one in connection.json",
        code="temporarily_unavailable",
        facts={"retry_after_seconds": wait},
    )


def _checked(row: sa.RowMapping | None, secret: str) -> str:
    kept = row["secret_hash"] if row is not None else None
    # An unknown client costs as much time as a wrong secret: nobody learns which ids exist.
    if not _fits(secret, kept or _NOBODY) or row is None or kept is None:
        raise Unauthenticated(
            "AADSTS7000215: Invalid client secret provided.",
            hint="use the clientId and clientSecret of connection.json",
            code="invalid_client",
        )
    return str(row["id"])
