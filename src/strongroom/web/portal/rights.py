"""What each role may do, as a table: acts in words, a column a role."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from strongroom.control.identities import role_assignments
from strongroom.control.oversight import audit
from strongroom.control.points import backups, drills, holds, verifications
from strongroom.control.protection import deletions, instances, policies, purges
from strongroom.control.resources import vaults
from strongroom.control.restore import restores
from strongroom.control.work import jobs
from strongroom.model.identities import access
from strongroom.model.identities.access import RoleDefinition
from strongroom.model.resources import guard

_ALONE, _GUARDED = False, True  # guarded: of a protected vault, a second person is asked
_ACTS = (
    ("See instances, points, jobs and costs", instances.READ, _ALONE),
    ("Read the audit trail", audit.READ, _ALONE),
    ("Back up now, try a backup again", backups.ACTION, _ALONE),
    ("Restore", restores.RESTORE, _ALONE),
    ("Drill a point", drills.ACTION, _ALONE),
    ("Read-check a point", verifications.ACTION, _ALONE),
    ("Stop a job", jobs.CANCEL, _ALONE),
    ("Hold points beyond their time", holds.WRITE, _ALONE),
    ("Protect a server, draw locks tighter", instances.WRITE, _ALONE),
    ("Write a policy that keeps as much or more", policies.WRITE, _ALONE),
    ("Have a policy keep less", policies.WRITE, _GUARDED),
    ("Stop protection, keep the points", guard.STOP_PROTECTION.name, _GUARDED),
    ("Release a hold", holds.DELETE, _GUARDED),
    ("Delete an instance or a point, to be had back for days", deletions.DELETE, _GUARDED),
    ("Purge what is deleted before its time", purges.PURGE, _GUARDED),
    ("Loosen locks and soft delete", vaults.WRITE, _GUARDED),
    ("Give somebody a role", role_assignments.WRITE, _ALONE),
)
_FOR_PEOPLE = (
    *(access.READER, access.BACKUP_READER, access.BACKUP_OPERATOR, access.BACKUP_CONTRIBUTOR),
    *(access.CONTRIBUTOR, access.OWNER, access.MUA_ADMIN, access.MUA_OPERATOR),
)
MAY, ASKS, AGREES, NO = "may", "asks", "agrees", ""


@dataclass(frozen=True, slots=True)
class Column:
    """A role; how many hold it anywhere, and whether the one who looks does."""

    role: RoleDefinition
    holders: int
    is_mine: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """(what is done, and of each column: may, asks, agrees or nothing)."""

    columns: list[Column]
    rows: list[tuple[str, list[str]]]


def matrix_of(
    held: Iterable[tuple[str, str]], mine: Sequence[str], known: Sequence[RoleDefinition]
) -> Matrix:
    """`held`: (role, who) of each assignment; `mine`: ids of the one who looks; `known`: roles."""
    pairs = set(held)
    holders = Counter(role for role, _ in pairs)
    own = [role for role in known if role.custom and holders[role.id]]
    roles = [role for role in _FOR_PEOPLE if role is not access.READER or holders[role.id]]
    columns = [
        Column(role, holders[role.id], any((role.id, who) in pairs for who in mine))
        for role in (*roles, *own)
    ]
    rows = [
        (words, [_of(each.role, action, guarded) for each in columns])
        for words, action, guarded in _ACTS
    ]
    return Matrix(columns, rows)


def _of(role: RoleDefinition, action: str, guarded: bool) -> str:  # noqa: FBT001 - a row's own
    """Who decides at a guard holds that very role: to own everything is not enough."""
    if guarded and role.id == access.MUA_OPERATOR.id:
        return AGREES
    if not access.allows(role, action):
        return NO
    return ASKS if guarded else MAY
