"""What every use case needs, in one hand; `app.py` fills it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.control.basis.bell import Bell
from strongroom.control.basis.role_refusals import RoleRefusals
from strongroom.control.basis.service_clock import ServiceClock
from strongroom.durable.engine import JobEngine
from strongroom.model.errors import NotFound, Precondition
from strongroom.model.identities.custody import Custody
from strongroom.model.installation import Installation
from strongroom.model.oversight.audit import Anchor
from strongroom.model.oversight.outside import Outside
from strongroom.model.seams import Chance, Clock
from strongroom.model.wal import WalKept, WalReport, WalRequest
from strongroom.model.work.operation import KeysRequest, ParentReply, StorageAccess
from strongroom.model.work.resume import ResumeReply, ResumeRequest


def no_parent(point_id: str, instance_id: str, part: int) -> ParentReply:
    """For a control plane that opens no manifests."""
    del part
    raise NotFound(f"the point {point_id[:64]} of {instance_id[:64]} cannot be opened here")


def nothing_stored(operation_id: str, request: ResumeRequest) -> ResumeReply:
    """For a control plane that opens no deltas."""
    del operation_id, request
    return ResumeReply()


def no_log(instance_id: str, asked: WalReport | WalRequest) -> NoReturn:
    """For a control plane that keeps no write-ahead log."""
    del asked
    raise Precondition(f"the log of {instance_id[:64]} is not kept here", hint="see its settings")


def no_seal(job_id: str, signature: object) -> NoReturn:
    """For a control plane that keeps no secrets."""
    del signature
    raise Precondition(
        f"the signature of job {job_id[:64]} cannot be kept here", hint="restore to a directory"
    )


@dataclass(frozen=True, slots=True)
class Witness:
    """Who can tell whether the audit is as it was written.

    `has_signed(digest, signature)`; `anchors()` are the names of all anchors; `read_anchor(name)`
    is what one states, or Corrupt where it is not ours.
    """

    has_signed: Callable[[bytes, bytes], bool]
    anchors: Callable[[], list[str]]
    read_anchor: Callable[[str], Anchor]


def nothing_published(files: object) -> NoReturn:
    """For a control plane that has no storage of its own."""
    del files
    raise Precondition("there is no storage here in which files could be left")


def nothing_signed(container: str, identifier: str) -> str:
    """For a control plane that has no storage of its own."""
    del container, identifier
    return ""


def nothing_held(container: str, names: object) -> list[str]:
    """For a control plane that has no storage of its own."""
    del container, names
    return []


@dataclass(frozen=True, slots=True)
class OwnStorage:
    """The installation's storage account: its URL, and what it signs and leaves for people.

    `sign(container, identifier)`: a SAS of an hour at most, and no longer than its identifier is
    there, with which files are written to a container and read again. `publish(name -> bytes)`
    leaves files of our own for people, and `address(name)` is (URL, ?SAS) of one of them.
    `holds(container, names)`: those of the names that are taken; raises ObjectMissing, StoreError.
    """

    url: str = ""
    sign: Callable[[str, str], str] = nothing_signed
    publish: Callable[[Mapping[str, bytes]], None] = nothing_published
    address: Callable[[str], tuple[str, str]] = nothing_published
    holds: Callable[[str, Sequence[str]], list[str]] = nothing_held


@dataclass(frozen=True, slots=True)
class Second:
    """A copy at another endpoint, which another region's operations read.

    `points(instance id)` are those that are whole there; `access(instance id)` lets an agent read
    them for an hour; `told()` is how far behind it is, or raises StoreUnavailable.
    """

    location: str
    points: Callable[[str], set[str]]
    access: Callable[[str], StorageAccess]
    told: Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Control:
    """The control plane's means. A use case is a function `verb_noun(control, caller, ...)`.

    `release_keys(recovery point id, instance id, operation id, what is asked)` opens the
    content keys that a restore needs and seals them to the agent's session; `grant_access(kind,
    instance id, order)` mints the SAS of one operation, which hangs on an identifier;
    `give_identifier(instance id, identifier, bytes that may be put)` and its reverse tell the
    storage endpoint; `open_parent(recovery point id, instance id)` tells of the point that an
    increment leans on, `open_resume(operation id, what is asked)` of what earlier tries
    of a backup have stored; `keep_wal(instance id, report)` reads again and records what a stream
    has put, `open_wal(operation id, what is asked)` opens what a recovery reads of it;
    `seal_signature(job id, SAS)` and its reverse keep what opens the container that a job fills;
    `custody()` tells who keeps which key. All are handed in because deciding and opening are two
    rooms (`workflows/` opens).
    """

    database: Database
    jobs: JobEngine
    clock: Clock
    chance: Chance
    installation: Installation
    release_keys: Callable[[str, str, str, KeysRequest], bytes]
    grant_access: Callable[[str, str, dict[str, str]], StorageAccess]
    give_identifier: Callable[[str, str, int], None]
    withdraw_identifier: Callable[[str, str], None]
    open_parent: Callable[[str, str, int], ParentReply] = no_parent
    open_resume: Callable[[str, ResumeRequest], ResumeReply] = nothing_stored
    keep_wal: Callable[[str, WalReport], None] = no_log
    open_wal: Callable[[str, WalRequest], WalKept] = no_log
    seal_signature: Callable[[str, str], bytes] = no_seal
    open_signature: Callable[[str, bytes], str] = no_seal
    own_storage: OwnStorage = OwnStorage()
    witness: Witness | None = None
    second: Second | None = None
    outside: Outside = field(default_factory=Outside)
    custody: Callable[[], Custody] = Custody
    offered: Bell = field(default_factory=Bell)  # work, to an agent
    ended: Bell = field(default_factory=Bell)  # an operation, to whoever waits for its end
    refusals: RoleRefusals = field(default_factory=RoleRefusals)
    # What opens the containers that agents are looking into now: never written down.
    looks: dict[str, str] = field(default_factory=dict)
    service_clock: ServiceClock | None = None
    # Set when this process ends: nobody is kept waiting then.
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def regions(self) -> list[str]:
        """Where else the data of every vault lies: the second copy's, if there is one."""
        return [] if self.second is None else [self.second.location]

    def earliest(self) -> Instant:
        """The earliest time it can be: by it things end, and approvals begin to be good."""
        watched = self.service_clock
        return self.clock.now() if watched is None else watched.earliest()

    def behind(self) -> float:
        """Seconds by which the clock is behind what was seen of it: what begins now ends later."""
        return 0.0 if self.service_clock is None else self.service_clock.behind()


def need_second(control: Control) -> Second:
    """Raises Precondition where there is none."""
    if control.second is None:
        raise Precondition(
            "this installation has no second copy",
            hint="start serve with --second-url and --second-key",
            code="UserErrorCrossRegionRestoreNotEnabled",
        )
    return control.second
