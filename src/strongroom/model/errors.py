"""The one tree of errors.

    VaultError
    ├── UserError          what the caller asked cannot be done; the caller can mend it
    │   ├── Invalid              400  the request itself is wrong
    │   ├── Unauthenticated      401  who asks is not known
    │   ├── Forbidden            403  who asks may not
    │   ├── NotFound             404  no such thing, or not for this caller
    │   ├── Conflict             409  it stands in the way of something that exists
    │   ├── Locked               409  a lock or hold forbids it until a date
    │   ├── Changed              412  it is not as the caller last saw it
    │   ├── SlowDown             429  too many tries                          (retried)
    │   └── Precondition         400  something else must be done first (a role, a setting)
    │       └── CatalogueLost         the catalogue is gone, or older than storage knows
    ├── SourceError        the PostgreSQL server we read from
    │   ├── SourceUnreachable    the network, or the server is down           (retried)
    │   ├── SourceRefused        password, privilege, pg_hba.conf, a setting
    │   ├── SourceUnsupported    a version or a feature we cannot back up
    │   ├── SourceStopped        it went away in mid-read                     (retried)
    │   ├── WalGap               write-ahead log that we need is gone         (retried)
    │   └── SpoolFailed          where it is archived to cannot be written    (retried)
    │       └── SpoolFull            its disk is full                         (retried)
    ├── StoreError         the storage endpoint
    │   ├── StoreUnavailable     down, slow, refusing for now                 (retried)
    │   ├── StoreDenied          credential refused, or expired
    │   ├── StoreQuotaReached    an operation has put as much as it may
    │   ├── StoreFull            no space                                     (retried)
    │   ├── ObjectMissing        a named object is not there
    │   ├── ObjectExists         create-only met an existing name
    │   ├── Corrupt              what was read is not what was written
    │   │   └── Unreadable       nobody can say what a container still needs
    │   └── WrongKey             this key does not open it
    ├── TargetError        where we restore to
    │   ├── TargetNotEmpty       we never write into filled directories
    │   ├── TargetFull           not enough space
    │   ├── TargetRefused        it cannot be written, or names a place outside the target
    │   └── ToolsMissing         no PostgreSQL binaries of that major version
    ├── ControlUnavailable the control plane cannot be reached for now        (retried)
    ├── LeaseLost          the operation was given to somebody else
    └── Cancelled          somebody asked for it

Rules: a message is a fact in lower case; `hint` is one sentence that a tired operator can follow;
anything that is not a VaultError is a bug, and only the doors catch it, where a request, a thread
or a program begins; each says that it is one. Foreign errors are translated at the edge, with
`from`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar


class Retry(Enum):
    """Whether the same call can succeed later without anybody doing anything."""

    NEVER = "never"
    LATER = "later"


class VaultError(Exception):
    """A failure that we understand: message, hint, facts, and whether to try again.

    `code` is the class name unless the wire demands another (Azure's codes, for instance). Where
    no hint is given, the class's own `advice` is the hint: nobody is left without a next step.
    """

    retry: ClassVar[Retry] = Retry.NEVER
    advice: ClassVar[str] = "Look into what `strongroom doctor` says, and into the logs."

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.advice
        self.code = code or type(self).__name__
        self.facts: dict[str, Any] = dict(facts or {})

    def to_dict(self) -> dict[str, Any]:
        """The form that travels: agent to control plane, job row, API."""
        return {
            "kind": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "facts": self.facts,
        }


class UserError(VaultError):
    """The caller can mend it."""

    advice = "Correct the request and send it again."


class Invalid(UserError):
    """The request itself is wrong: shape, unit, name."""


class Unauthenticated(UserError):
    """No token, or one that is not valid."""


class Forbidden(UserError):
    """The caller is known and may not."""


class NotFound(UserError):
    """No such thing, or not one that this caller may see."""

    advice = "Check the name: a list of its kind shows what there is, and what is soft-deleted."


class Conflict(UserError):
    """Something that exists stands in the way."""


class Locked(UserError):
    """A lock or a hold forbids it, until a date that the facts name."""


class Changed(UserError):
    """The thing is not as the caller, by an ETag, said they had last seen it."""


class SlowDown(UserError):
    """Too many tries; `retry_after_seconds` in the facts."""

    advice = "Wait a while and try again."
    retry = Retry.LATER


class Precondition(UserError):
    """Something else must be done first: a role, a setting, a server that is ready."""


class CatalogueLost(Precondition):
    """It is gone, or older than what storage knows of it: nothing goes on over it."""


class SourceError(VaultError):
    """The PostgreSQL server that is being backed up."""

    advice = "See what the server lacks: strongroom server check NAME."


class SourceUnreachable(SourceError):
    """No connection."""

    retry = Retry.LATER


class SourceRefused(SourceError):
    """The server answered no: password, privilege, pg_hba.conf, a setting."""


class SourceUnsupported(SourceError):
    """A version or feature that cannot be backed up."""


class SourceStopped(SourceError):
    """The server went away while it was being read."""

    retry = Retry.LATER


class WalGap(SourceError):
    """Write-ahead log that the recovery point needs is gone."""

    retry = Retry.LATER


class SpoolFailed(SourceError):
    """The spool, where the server archives its log to, cannot be read or written."""

    retry = Retry.LATER


class SpoolFull(SpoolFailed):
    """Its disk is."""


class StoreError(VaultError):
    """The storage endpoint."""

    advice = "See whether the storage endpoint is well: its log, and `strongroom status`."


class StoreUnavailable(StoreError):
    """Down, slow, or refusing for now."""

    retry = Retry.LATER


class StoreDenied(StoreError):
    """The credential does not allow it, or has expired."""


class StoreQuotaReached(StoreError):
    """What an operation may put into storage is used up."""


class StoreFull(StoreError):
    """No space left."""

    advice = "Free space or add some; backups go on by themselves when there is room."
    retry = Retry.LATER


class ObjectMissing(StoreError):
    """A named object is not there."""

    advice = "Restore another recovery point, and look for it in the endpoint's log of deletions."


class ObjectExists(StoreError):
    """A create-only put met an existing name."""


class Corrupt(StoreError):
    """What was read is not what was written. Never retried, always an alarm."""

    advice = "Restore another recovery point, and look into the storage endpoint's log."


class WrongKey(StoreError):
    """This key does not open it."""

    advice = "Use the recovery key of the installation that wrote it."


class TargetError(VaultError):
    """Where a restore writes."""

    advice = "Name another directory, or make room in this one, and restore again."


class TargetNotEmpty(TargetError):
    """A restore never writes into a filled directory."""


class TargetFull(TargetError):
    """Not enough space."""


class TargetRefused(TargetError):
    """The target cannot be written, or a name leads outside of it."""


class ToolsMissing(TargetError):
    """No PostgreSQL binaries of the major version that is needed."""

    advice = "Install them: strongroom pgtools install MAJOR."


class ControlUnavailable(VaultError):
    """The control plane is down, slow, or refusing for now."""

    advice = "See that `strongroom serve` runs and can be reached; it is tried again."
    retry = Retry.LATER


class LeaseLost(VaultError):
    """The operation has been given to another agent, or has ended."""

    advice = "Nothing needs to be done: the operation goes on elsewhere, or has ended."


class Cancelled(VaultError):
    """Somebody asked for it."""

    advice = "Start it again when it is wanted."


class Failed(VaultError):
    """A failure told by another process whose kind this version does not know."""


def every_error() -> dict[str, type[VaultError]]:
    """All classes of the tree by name."""
    found: dict[str, type[VaultError]] = {}
    queue: list[type[VaultError]] = [VaultError]
    while queue:
        cls = queue.pop()
        found[cls.__name__] = cls
        queue.extend(cls.__subclasses__())
    return found


def from_dict(told: Mapping[str, Any]) -> VaultError:
    """The reverse of `to_dict`; an unknown kind becomes `Failed` and keeps its words."""
    cls = every_error().get(str(told.get("kind", "")), Failed)
    return cls(
        str(told.get("message", "no message")),
        hint=str(told.get("hint", "")),
        code=str(told.get("code", "")),
        facts=told.get("facts") or {},
    )


def all_of(missing: list[UserError]) -> UserError:
    """One failure as it is; several as one that carries the words and remedies of all."""
    if len(missing) == 1:
        return missing[0]
    actions = [a for e in missing for a in e.facts.get("actions") or [e.hint] if a]
    details = [{"code": e.code, "message": e.message, "target": None} for e in missing]
    roles = [role for e in missing for role in e.facts.get("missing") or []]
    return Precondition(
        "; ".join(error.message for error in missing),
        hint=actions[0] if actions else "",
        code=missing[0].code,
        facts={"actions": actions, "details": details, **({"missing": roles} if roles else {})},
    )
