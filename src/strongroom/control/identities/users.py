"""People who sign in to the portal with a name and a password."""

import base64

import sqlalchemy as sa

from strongroom.catalog.basis.database import Database
from strongroom.catalog.identities import principals, role_assignments, sessions
from strongroom.catalog.oversight import audit
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.identities import identity
from strongroom.control.identities.principals import WRITE
from strongroom.model import arm
from strongroom.model.errors import Conflict, Invalid, NotFound, Unauthenticated
from strongroom.model.identities.access import Caller
from strongroom.model.ids import uuid4
from strongroom.model.seams import Chance, Clock

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200


def new_password(chance: Chance) -> str:
    """A hundred bits, in groups that can be read aloud."""
    text = base64.b32encode(chance.bytes(13)).decode().lower()[:20]
    return "-".join(text[at : at + 5] for at in range(0, 20, 5))


def is_known(control: Control, name: str) -> bool:
    """Whether there is such a user."""
    with control.database.reading() as connection:
        return principals.find_by_app(connection, name) is not None


def create_user(control: Control, name: str, password: str, role_id: str, scope: str) -> str:
    """A user who signs in with a password and holds a role from the start; one that is there

    already is left as it is. Returns the object id.
    """
    with control.database.writing() as connection:
        known = principals.find_by_app(connection, name)
        if known is not None:
            return str(known["id"])
        principal_id, now = str(uuid4(control.chance)), control.clock.now()
        row = {
            "id": principal_id,
            "kind": "user",
            "display_name": name,
            "app_id": name,
            "secret_hash": identity.hash_secret(password, control.chance),
            "created_at": now,
        }
        principals.add(connection, row)
        assignment = {
            "id": str(uuid4(control.chance)),
            "scope": scope,
            "scope_key": scope.lower(),
            "role_id": role_id,
            "principal_id": principal_id,
            "principal_type": "User",
            "created_at": now,
            "created_by": "installation",
        }
        role_assignments.add(connection, assignment)
        told = {"name": name, "roles": [[role_id, scope]]}
        what = ("principal/create", principal_id)
        audit.append(connection, now, "installation", what, after=told)
    return principal_id


def add_user(control: Control, caller: Caller, name: str) -> tuple[str, str]:
    """Somebody with no role yet. Returns their object id, and a password that is given this once.

    Nobody but they can give them another: whoever could, could approve in their name.
    """
    arm.check_name("guard", name)
    scope, now = arm.subscription_id_of(control.installation.subscription_id), control.clock.now()
    password = new_password(control.chance)
    with control.database.writing() as connection:
        require(control, connection, caller, WRITE, scope)
        if any(row["display_name"].lower() == name.lower() for row in _people(connection)):
            raise Conflict(f"there is somebody called {name} already", hint="choose another name")
        principal_id = str(uuid4(control.chance))
        row = {
            "id": principal_id,
            "kind": "user",
            "display_name": name,
            "app_id": name,
            "secret_hash": identity.hash_secret(password, control.chance),
            "created_at": now,
        }
        principals.add(connection, row)
        what, told = ("principal/create", principal_id), {"name": name}
        audit.append(connection, now, caller, what, after=told)
    return principal_id, password


def _people(connection: sa.Connection) -> list[sa.RowMapping]:
    return [row for row in principals.list_all(connection) if row["kind"] in {"user", "service"}]


def reset_password(database: Database, name: str, clock: Clock, chance: Chance) -> str:
    """Another password, for whoever has the host: told this once, every session of theirs over.

    Raises NotFound, Invalid where it is nobody who signs in with a password.
    """
    password = new_password(chance)
    digest = identity.hash_secret(password, chance)
    with database.writing() as connection:
        row = principals.find_by_app(connection, name)
        if row is None:
            raise NotFound(
                f"there is no user {name[:60]!r}", hint="The first one is called admin."
            )
        if row["kind"] != "user":
            raise Invalid(
                f"{name[:60]} signs in with a secret, not with a password",
                hint="change it with: strongroom principal renew --data DIRECTORY",
            )
        principals.change(connection, row["id"], secret_hash=digest)
        sessions.remove_of_principal(connection, row["id"])
        what = ("principal/resetPassword", row["id"])
        audit.append(connection, clock.now(), "host", what)
    return password


def change_password(control: Control, caller: Caller, address: str, old: str, new: str) -> None:
    """One's own. Every session of theirs is over. Raises Invalid, Unauthenticated, SlowDown."""
    if not SHORTEST_PASSWORD <= len(new) <= LONGEST_PASSWORD:
        raise Invalid(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
            hint="choose a longer one, such as four words",
        )
    with control.database.reading() as connection:
        row = principals.find(connection, caller.principal_id)
    if row is None:
        raise NotFound("this user is gone")
    if row["kind"] != "user":
        raise Invalid(
            "a service principal has a secret, not a password",
            hint="change it with: strongroom principal renew --data DIRECTORY",
        )
    if identity.sign_in(control, address, row["app_id"], old) != row["id"]:
        raise Unauthenticated("this is not your password")
    digest = identity.hash_secret(new, control.chance)
    with control.database.writing() as connection:
        principals.change(connection, row["id"], secret_hash=digest)
        sessions.remove_of_principal(connection, row["id"])
        what = ("principal/renew", row["id"])
        audit.append(connection, control.clock.now(), caller, what)
