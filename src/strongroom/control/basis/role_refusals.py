"""Refusals for want of a role, counted, so that the audit can tell of them and none floods it.

A refusal leaves its transaction empty, so it is noted here and written a minute later: the first
of a principal and an action at once, those after it once an hour as one record with their number.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.oversight import audit
from strongroom.model.identities.access import Caller

AGAIN_SECONDS = 3600.0  # between two records of the same principal and action
MOST_KINDS = 100  # of (principal, action) that are told apart; the others are one
_MOST_NAMED = 5  # addresses, and resources, in one record
_OTHERS = Caller(principal_id="others"), "any"


@dataclass(slots=True)
class _Kind:
    """What one principal was refused: how often since it was last written, from where, at what."""

    caller: Caller
    count: int = 0
    first: Instant | None = None
    written: Instant | None = None
    addresses: set[str] = field(default_factory=set)
    scopes: list[str] = field(default_factory=list)


class RoleRefusals:
    """Of one process; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def note(self, caller: Caller, action: str, scope: str, now: Instant) -> None:
        """One more. It costs no transaction."""
        with self._lock:
            key = (caller.principal_id, action)
            if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
                caller, action = _OTHERS
                key = (caller.principal_id, action)
            kind = self._kinds.setdefault(key, _Kind(caller))
            kind.count += 1
            kind.first = kind.first or now
            if len(kind.addresses) < _MOST_NAMED:
                kind.addresses.add(caller.address)
            if len(kind.scopes) < _MOST_NAMED and scope not in kind.scopes:
                kind.scopes.append(scope)

    def write(self, database: Database, now: Instant) -> None:
        """Into the audit what is due; a kind of which nothing came for an hour is forgotten."""
        with self._lock:
            due = list(self._take(now))
        if not due:
            return
        with database.writing() as connection:
            for action, kind in due:
                told = {"action": action, "times": kind.count, "scopes": kind.scopes}
                told |= {"addresses": sorted(kind.addresses - {""})}
                told |= {"since": kind.first.format_iso() if kind.first else ""}
                what = ("access/refuse", kind.scopes[0])
                audit.append(connection, now, kind.caller, what, told)

    def _take(self, now: Instant) -> Iterator[tuple[str, _Kind]]:
        for key, kind in list(self._kinds.items()):
            if kind.written and (now - kind.written).total("seconds") < AGAIN_SECONDS:
                continue
            del self._kinds[key]
            if kind.count:
                yield key[1], kind
                self._kinds[key] = _Kind(kind.caller, written=now)
