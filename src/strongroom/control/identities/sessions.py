"""Sessions of the portal: signed in with a password, over after hours of quiet or of work.

A cookie holds 32 random bytes; the catalogue keeps their digest. What a form must send along
(against forged requests) is a digest of the cookie too: nobody can work it out without it.
"""

import base64
import hashlib
import hmac

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.identities import issuers, principals
from strongroom.catalog.identities import sessions as catalog
from strongroom.catalog.oversight import audit
from strongroom.control.basis.control import Control
from strongroom.control.identities import identity
from strongroom.model.identities.access import Caller

MOST_HOURS = 12
IDLE_HOURS = 2
_TOUCH_SECONDS = 60.0  # what is written at most so often


class Session(msgspec.Struct, kw_only=True, frozen=True):
    """Somebody who is signed in. `form_key` is what their forms carry."""

    caller: Caller
    name: str  # for people
    form_key: str
    ends_at: Instant


def begin_session(control: Control, address: str, name: str, password: str) -> str:
    """Sign in; returns the cookie. `name`: of a user, or a client id.

    Raises Unauthenticated, SlowDown: as tokens do, and counted with them.
    """
    principal_id = identity.sign_in(control, address, name, password)
    with control.database.reading() as connection:
        row = principals.find(connection, principal_id)
    shown = name if row is None else str(row["display_name"])
    caller = Caller(principal_id=principal_id, name=shown, address=address)
    return open_session(control, caller)


def open_session(control: Control, caller: Caller, issuer_id: str | None = None) -> str:
    """A session of somebody who has proved who they are; returns the cookie.

    `issuer_id`: whose word it was, if not ours. The session is over when that is believed no more.
    """
    token = base64.urlsafe_b64encode(control.chance.bytes(32)).decode().rstrip("=")
    now = control.clock.now()
    row = {
        "token_hash": _digest(token),
        "principal_id": caller.principal_id,
        "name": caller.name[:200],
        "groups": list(caller.groups),
        "issuer_id": issuer_id,
        "began_at": now,
        "seen_at": now,
        "ends_at": now.add(hours=MOST_HOURS),
    }
    with control.database.writing() as connection:
        catalog.remove_ended(connection, now)
        catalog.add(connection, row)
        audit.append(connection, now, caller, ("session/begin", caller.principal_id))
    return token


def find_session(control: Control, token: str, address: str, *, used: bool) -> Session | None:
    """Whose cookie it is; None when it is nobody's any more.

    `used`: by a person. What a page asks for by itself keeps no session alive.
    """
    now = control.clock.now()
    with control.database.reading() as connection:
        row = catalog.find(connection, _digest(token))
        if row is None or not _is_vouched_for(connection, row):
            return None
    if now >= min(row["ends_at"], row["seen_at"].add(hours=IDLE_HOURS)):
        return None
    if used and (now - row["seen_at"]).total("seconds") > _TOUCH_SECONDS:
        with control.database.writing() as connection:
            catalog.touch(connection, row["token_hash"], now)
    groups = tuple(row["groups"])
    caller = Caller(
        principal_id=row["principal_id"], name=row["name"], address=address, groups=groups
    )
    return Session(
        caller=caller, name=row["name"], form_key=_form_key(token), ends_at=row["ends_at"]
    )


def _is_vouched_for(connection: sa.Connection, row: sa.RowMapping) -> bool:
    if row["issuer_id"] is None:
        return principals.find(connection, row["principal_id"]) is not None
    return any(issuer.id == row["issuer_id"] for issuer in issuers.list_all(connection))


def end_session(control: Control, session: Session, token: str) -> None:
    """Sign out."""
    with control.database.writing() as connection:
        catalog.remove(connection, _digest(token))
        what = ("session/end", session.caller.principal_id)
        audit.append(connection, control.clock.now(), session.caller, what)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _form_key(token: str) -> str:
    return hmac.new(token.encode(), b"strongroom form", hashlib.sha256).hexdigest()
