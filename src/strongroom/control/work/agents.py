"""Agents call in: enrol, lease, heartbeat, keys, complete, fail. Nobody calls them."""

import base64
import hashlib

import msgspec
import sqlalchemy as sa

from strongroom.catalog.basis.database import Database
from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import told_servers
from strongroom.catalog.work import agent_operations, job_samples, jobs
from strongroom.catalog.work import agents as catalog
from strongroom.control.basis.control import Control, need_second
from strongroom.control.work import epochs, own_storage
from strongroom.model.errors import Forbidden, Invalid, Unauthenticated
from strongroom.model.ids import AgentId, uuid4
from strongroom.model.seams import Chance, Clock
from strongroom.model.wal import StreamOrder
from strongroom.model.work.drill import DrillOrder
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.logical import LoadOrder
from strongroom.model.work.long_term import KIND as LONG_TERM
from strongroom.model.work.long_term import LongTermOrder
from strongroom.model.work.operation import (
    LEASE_SECONDS,
    BackupOrder,
    CheckOrder,
    Completion,
    EnrolReply,
    EnrolRequest,
    Failure,
    Heartbeat,
    HeartbeatReply,
    KeysReply,
    KeysRequest,
    Lease,
    LeaseRequest,
    ParentReply,
    ParentRequest,
    RestoreOrder,
    StorageAccess,
)
from strongroom.model.work.plan import LookOrder
from strongroom.model.work.verify import VerifyOrder

STREAM = "stream"
MOST_LEASES = 5  # a failure that may pass is tried this often before it is the answer


def hash_token(token: str) -> str:
    """Tokens are 32 random bytes in base64: a plain digest is enough to keep."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_enrol_token(control: Control, hours: int = 24) -> str:
    """A one-time token for one agent."""
    return invite_agent(control.database, control.clock, control.chance, hours)


def invite_agent(database: Database, clock: Clock, chance: Chance, hours: int = 24) -> str:
    """The same, beside a `serve` that need not run."""
    token = base64.urlsafe_b64encode(chance.bytes(32)).decode().rstrip("=")
    with database.writing() as connection:
        now = clock.now()
        until = now.add(hours=hours)
        digest = hash_token(token)
        catalog.add_enrol_token(connection, digest, until)
        what = ("agent/invite", digest[:16])
        told = {"until": until.format_iso()}
        audit.append(connection, now, "installation", what, told)
    return token


def enrol_agent(control: Control, request: EnrolRequest) -> EnrolReply:
    """A one-time token buys an identity, once; the same agent asking again is the same agent."""
    if len(request.agent_token_sha256) != hashlib.sha256().digest_size:
        raise Invalid("agentTokenSha256 is not a SHA-256", hint="update the agent")
    digest = request.agent_token_sha256.hex()
    now = control.clock.now()
    with control.database.writing() as connection:
        known = catalog.find_by_token(connection, digest)
        agent_id = str(uuid4(control.chance)) if known is None else str(known["id"])
        if known is None:
            agent = {
                "id": agent_id,
                "name": request.name[:63],
                "token_hash": digest,
                "version": request.version[:32],
                "enrolled_at": now,
                "seen_at": now,
            }
            catalog.add(connection, agent)
        if not catalog.use_enrol_token(connection, hash_token(request.token), agent_id, now):
            raise Unauthenticated(
                "this enrolment token is unknown, used or expired",
                hint="make a new one on the control plane: strongroom server enrol-token",
            )
        audit.append(connection, now, f"agent:{agent_id}", ("agent/enrol", agent_id))
    return EnrolReply(agent_id=agent_id)


def authenticate_agent(control: Control, token: str) -> AgentId:
    """Which agent a bearer token belongs to."""
    with control.database.reading() as connection:
        row = catalog.find_by_token(connection, hash_token(token))
    if row is None:
        raise Unauthenticated("unknown agent token", hint="enrol this agent again")
    return AgentId(row["id"])


def note_call(control: Control, agent: AgentId, request: LeaseRequest) -> None:
    """What the agent says of its servers; and work is for this process of it from now on."""
    facts = {facts.name: msgspec.to_builtins(facts) for facts in request.servers}
    with control.database.writing() as connection:
        catalog.seen(connection, agent, control.clock.now(), facts)
        told_servers.note(connection, agent, facts)
        catalog.begin_session(connection, agent, request.session)
        agent_operations.void_other_sessions(connection, agent, request.session)


def lease_operation(control: Control, agent: AgentId, session: str, ask: str = "") -> Lease | None:
    """The oldest operation that waits for this agent; None when there is none.

    A process of the agent after which another one has called is given nothing: its call may be
    open still, but nobody listens. A call that is made again, as its answer was lost, is given
    the same lease again, and needs no storage for it.
    """
    now = control.clock.now()
    with control.database.reading() as connection:
        if not catalog.is_session(connection, agent, session):
            return None
        again = agent_operations.given_to(connection, agent, session, ask)
        waiting = agent_operations.next_waiting(connection, agent, now)
    if again is not None:
        return _lease_of(control, again)
    if waiting is None:
        return None
    epochs.give_access(control, agent, waiting, waiting["epoch"] + 1)
    with control.database.writing() as connection:
        until = now.add(seconds=LEASE_SECONDS)
        row = agent_operations.lease(connection, agent, session, now, until, ask)
    if row is None:
        return None
    if (row["id"], row["epoch"]) != (waiting["id"], waiting["epoch"] + 1):
        # Another call of this agent was faster with that one.
        epochs.give_access(control, agent, row, row["epoch"])
    epochs.withdraw_ended(control, row["id"])
    return _lease_of(control, row)


# Each kind of operation: where its order lies in the lease, and what it is.
_ORDERS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "backup": ("backup", BackupOrder),
    "restore": ("restore", RestoreOrder),
    "extract": ("extract", ExtractOrder),
    "load": ("load", LoadOrder),
    "verify": ("verify", VerifyOrder),
    "drill": ("drill", DrillOrder),
    LONG_TERM: ("long_term", LongTermOrder),
    "look": ("look", LookOrder),
    STREAM: ("stream", StreamOrder),
    "check": ("check", CheckOrder),
}


def _lease_of(control: Control, row: sa.RowMapping) -> Lease:
    order = dict(row["order"])
    if row["kind"] == "backup":
        order["deltaName"] = delta_name(row["job_id"], row["epoch"])
    lease = Lease(operation_id=row["id"], epoch=row["epoch"])
    place, kind = _ORDERS[row["kind"]]
    setattr(lease, place, msgspec.convert(order, kind))
    if row["kind"] not in agent_operations.WITHOUT_STORAGE or order.get("files"):
        lease.access = _access(control, row)
    return lease


def delta_name(job_id: str, epoch: int) -> str:
    """What a writer reports lies under the job and the epoch of its lease."""
    return f"d/{job_id}.{epoch}.delta"


def _access(control: Control, row: sa.RowMapping) -> StorageAccess:
    order = row["order"]
    delta = delta_name(row["job_id"], row["epoch"])
    paths = {
        "generation": order.get("generation", ""),
        "parent": (order.get("parent") or {}).get("generation", ""),
        "delta": delta,
        "partial": delta.removesuffix(".delta"),
        "identifier": epochs.identifier_of(row["id"], row["epoch"]),
    }
    instance = order.get("instanceId", "")
    if epochs.is_second(row):
        access = need_second(control).access(instance)
    else:
        access = control.grant_access(row["kind"], instance, paths)
    if row["kind"] in agent_operations.ELSEWHERE:
        access.sas = {}  # it reads and writes nothing of ours
    if row["kind"] in {"extract", "look", LONG_TERM} and (signature := _signature(control, row)):
        access.sas["files"] = signature
    return access


def _signature(control: Control, row: sa.RowMapping) -> str:
    """What opens the container that the job fills; empty when it fills none."""
    if row["kind"] == "look":
        return control.looks.get(row["id"], "")
    job_id = row["job_id"]
    with control.database.reading() as connection:
        sealed = jobs.sealed_signature(connection, job_id)
    if sealed is not None:
        return control.open_signature(job_id, sealed)
    if row["kind"] == LONG_TERM:
        return ""  # it has ended
    identifier = epochs.identifier_of(row["id"], row["epoch"])
    return own_storage.signature_for(control, row["order"], identifier)


def heartbeat(
    control: Control, agent: AgentId, operation_id: str, beat: Heartbeat
) -> HeartbeatReply:
    """The lease lives on; the job shows how far it is; the SAS is renewed."""
    now = control.clock.now()
    with control.database.writing() as connection:
        row = agent_operations.get(connection, operation_id)
        if row is not None and row["status"] == "cancelled" and row["agent_id"] == agent:
            return HeartbeatReply(cancel=True)
        row = agent_operations.held(connection, operation_id, agent, beat.epoch)
        progress = msgspec.to_builtins(beat.progress)
        until = now.add(seconds=LEASE_SECONDS)
        agent_operations.renew(connection, operation_id, until, progress)
        if row["job_id"]:
            jobs.set_progress(connection, row["job_id"], beat.progress)
            job_samples.note(connection, row["job_id"], beat.progress, now)
    stores = row["kind"] not in agent_operations.WITHOUT_STORAGE
    return HeartbeatReply(access=_access(control, row) if stores else None)


def release_keys(
    control: Control, agent: AgentId, operation_id: str, request: KeysRequest
) -> KeysReply:
    """The content keys of one restore, sealed to its session; audited."""
    of_packs = {} if request.packs is None else {"packs": len(request.packs)}
    with control.database.writing() as connection:
        row = agent_operations.held(connection, operation_id, agent, request.epoch)
        if row["kind"] not in {"restore", "extract", "load", "verify", "drill"}:
            raise Forbidden("only what reads a point is given keys")
        audit.append(
            connection,
            control.clock.now(),
            f"agent:{agent}",
            ("keys/release", row["order"]["recoveryPointId"]),
            {"operation": operation_id, **of_packs},
        )
    sealed = control.release_keys(
        row["order"]["recoveryPointId"],
        row["order"]["instanceId"],
        operation_id,
        request,
    )
    return KeysReply(sealed=sealed)


def open_parent(
    control: Control, agent: AgentId, operation_id: str, request: ParentRequest
) -> ParentReply:
    """What the order's own parent was; of no other point is anything told."""
    with control.database.reading() as connection:
        row = agent_operations.held(connection, operation_id, agent, request.epoch)
    order = row["order"]
    if request.logical:
        parent = (order.get("dump") or {}).get("parent")
    else:
        parent = (order.get("parent") or {}).get("recoveryPointId")
    if row["kind"] != "backup" or not parent:
        raise Forbidden("only an increment is told of a parent")
    return control.open_parent(parent, order["instanceId"], request.part)


def complete_operation(
    control: Control, agent: AgentId, operation_id: str, done: Completion
) -> None:
    """The agent's share is done; whoever waits for it goes on. Safe twice."""
    several = (
        done.backup,
        done.restore,
        done.load,
        done.verify,
        done.drill,
        done.check,
        done.look,
    )
    told = next((each for each in several if each is not None), None)
    if told is None:
        raise Invalid("a completion says what was completed")
    result = {**msgspec.to_builtins(told), "epoch": done.epoch}
    with control.database.writing() as connection:
        row = agent_operations.of_agent(connection, operation_id, agent)
        if row["status"] == "completed" and row["epoch"] == done.epoch:
            return
        row = agent_operations.held(connection, operation_id, agent, done.epoch)
        agent_operations.end(connection, operation_id, "completed", result=result)
    _wake(control, row)
    epochs.withdraw_ended(control, operation_id)


def fail_operation(control: Control, agent: AgentId, operation_id: str, failure: Failure) -> None:
    """The agent could not. A failure that may pass is offered again, a bounded number of times.

    Safe twice: until the next lease, saying it again is answered as the first time.
    """
    with control.database.writing() as connection:
        row = agent_operations.of_agent(connection, operation_id, agent)
        ended = {"offered", "failed", "cancelled"}
        if row["status"] in ended and row["epoch"] == failure.epoch:
            return
        row = agent_operations.held(connection, operation_id, agent, failure.epoch)
        again = failure.retryable and row["epoch"] < MOST_LEASES
        if again:
            agent_operations.offer_again(connection, operation_id)
        else:
            agent_operations.end(connection, operation_id, "failed", error=failure.error)
    if not again:
        _wake(control, row)
    epochs.withdraw_ended(control, operation_id)


def _wake(control: Control, row: sa.RowMapping) -> None:
    if row["workflow_id"]:
        control.jobs.notify(row["workflow_id"], f"operation:{row['id']}", {"ended": True})
