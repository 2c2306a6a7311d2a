"""The agent's protocol: what the control plane asks of an agent, and what the agent answers.

Transport: HTTPS, the agent calls in; bodies are JSON (msgspec). Bytes fields travel as base64.

    POST /agents/enrol                       EnrolRequest   -> EnrolReply
    POST /agents/lease                       LeaseRequest   -> Lease, or 204 when there is no work
    POST /agents/operations/{id}/heartbeat   Heartbeat      -> HeartbeatReply
    POST /agents/operations/{id}/keys        KeysRequest    -> KeysReply     (what reads a point)
    POST /agents/operations/{id}/parent      ParentRequest  -> ParentReply   (backup only)
    POST /agents/operations/{id}/resume      ResumeRequest  -> ResumeReply   (backup only)
    POST /agents/operations/{id}/wal         WalReport      -> WalReply      (stream only)
    POST /agents/operations/{id}/wal-keys    WalRequest     -> WalKept       (what recovers)
    POST /agents/operations/{id}/complete    Completion     -> 204
    POST /agents/operations/{id}/fail        Failure        -> 204

Every call but enrol carries `Authorization: Bearer <agent token>`; every call about an operation
carries the lease's epoch, and a call with an epoch that has ended is refused with `LeaseLost`
(409). All are safe twice.
"""

from typing import Any

import msgspec

from strongroom.model.wal import Recovery, StreamOrder, WalTail
from strongroom.model.work.drill import DrillOrder, DrillResult
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.logical import DumpWish, LoadOrder, LoadResult
from strongroom.model.work.long_term import LongTermOrder
from strongroom.model.work.plan import LookOrder, LookResult
from strongroom.model.work.verify import VerifyOrder, VerifyResult

LEASE_SECONDS = 60
HEARTBEAT_SECONDS = 2  # and one at once when the step changes
BY_SERVER, BY_LIMIT, BY_NETWORK = "Server", "Limit", "Network"


class Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Unknown fields are ignored, so that an older agent understands a newer control plane."""


class ServerFacts(Message):
    """What an agent knows of one PostgreSQL server it looks after. Never its conninfo."""

    name: str
    ready: bool
    version_number: int = 0  # server_version_num, 150018
    version_text: str = ""
    system_identifier: str = ""
    size_bytes: int = 0
    databases: dict[str, int] = {}  # name -> bytes
    data_directory: str = ""
    in_recovery: bool = False
    checksums: bool = False
    tablespaces: dict[str, str] = {}  # oid -> location
    extensions: dict[str, str] = {}  # name -> version
    problems: list[dict[str, Any]] = []  # VaultError.to_dict() of each thing that is missing
    endpoint: str = ""  # host:port, for people
    dumpable: bool = False  # a logical backup can be taken, whatever else is missing
    administrator: str = ""  # the superuser that the cluster was made with
    way: str = ""  # how a physical backup is read: STREAM, DISK, DISK_ALONE; empty: not at all


class EnrolRequest(Message):
    """A one-time token buys an identity for a token that the agent has made for itself.

    Asked again with both tokens, because an answer was lost, it is the same agent; the same
    one-time token with another agent's token is refused.
    """

    token: str
    name: str
    version: str
    agent_token_sha256: bytes  # 32 bytes; the agent token itself travels with the later calls


class EnrolReply(Message):
    """Who the agent is from now on."""

    agent_id: str


class LeaseRequest(Message):
    """Long poll: answered at once when there is work, else after `wait_seconds` with 204."""

    servers: list[ServerFacts]
    wait_seconds: float = 20.0
    session: str = ""  # made anew by each start of the agent: earlier ones' leases and calls end
    ask: str = ""  # the same until an answer has come: asked again, the same lease is the answer


class StorageAccess(Message):
    """Where to write or read, and the SAS for it: an hour at most; heartbeats renew it."""

    container_url: str  # http(s)://host:port/account/container, no query
    sas: dict[str, str]  # scope -> SAS query string: "packs", "delta" (backup; "parent": an
    # increment's packs; "partial": its partial deltas), "wal" (stream) or "read" (restore)
    expires_at: str  # ISO 8601 UTC
    ca: str = ""  # PEM: whom to trust there, when the control plane was told


class ParentPoint(Message):
    """The recovery point that an increment leans on, and the generation of its packs."""

    recovery_point_id: str
    generation: str


class BackupOrder(Message):
    """Take a physical backup: packs into a generation, and one delta.

    With a parent an increment is asked for, whose packs go to the parent's generation; the agent
    takes a full one into `generation` when the parent cannot serve, and says why.
    backup_type: model/protection/backup_type.py; where it is Full, the agent dumps a server that
    does not allow more, and says why.
    compression_level, bandwidth, parallelism: model/protection/backup_settings.py.
    log: the last of its log that is kept, where any is: a server that lacks it is another one.
    """

    server: str
    job_id: str
    recovery_point_id: str
    instance_id: str
    generation: str
    delta_name: str  # d/<job>.<epoch>.delta
    catalogue_key_id: bytes
    catalogue_public_key: bytes  # 1184 + 32 bytes: ML-KEM-768, X25519
    data_key_id: bytes
    data_public_key: bytes
    compression_level: int = 1
    bandwidth: int = 0
    parallelism: int = 0
    parent: ParentPoint | None = None
    resume: bool = False  # say what is stored as it is stored, and ask what was before
    backup_type: str = "Full"
    dump: DumpWish | None = None  # how a logical backup is taken; absent: it may not be one
    log: WalTail = msgspec.field(default_factory=WalTail)


class Registration(Message):
    """Look after what was restored from now on, under this name, with the credentials of another

    server that this agent looks after (`like`): a copy of it has the same roles.
    """

    name: str
    like: str


class RestoreOrder(Message):
    """Write a recovery point as a data directory, and start it when asked.

    in_place: the directory is that of the server itself, and what differs in it is overwritten.
    """

    job_id: str
    recovery_point_id: str
    instance_id: str
    manifest_name: str  # p/<recovery point id>.manifest
    target_directory: str
    tablespaces: dict[str, str] = {}  # original location -> new location
    start: bool = False
    port: int = 0  # 0: the port in its own configuration
    settings: dict[str, str] = {}  # appended to postgresql.auto.conf
    in_place: bool = False
    recovery: Recovery | None = None  # where to, beyond the point's own end
    register: Registration | None = None


class CheckOrder(Message):
    """Look at a server again, now, and report its facts and what is missing."""

    server: str


class Lease(Message):
    """One operation, for `lease_seconds` from the last heartbeat. Exactly one order is set."""

    operation_id: str
    epoch: int
    lease_seconds: float = LEASE_SECONDS
    backup: BackupOrder | None = None
    restore: RestoreOrder | None = None
    extract: ExtractOrder | None = None
    load: LoadOrder | None = None
    verify: VerifyOrder | None = None
    drill: DrillOrder | None = None
    check: CheckOrder | None = None
    look: LookOrder | None = None
    long_term: LongTermOrder | None = None
    stream: StreamOrder | None = None
    access: StorageAccess | None = None


class Progress(Message):
    """How far an operation is. Bytes are raw bytes, before compression.

    held_by: what it has waited for most, lately: BY_SERVER (to be read), BY_LIMIT, BY_NETWORK (to
    storage); empty: nothing of that, or nobody measures it.
    """

    step: str  # "Connecting", "Reading", "Writing", "Verifying", "Starting"
    done_bytes: int = 0
    total_bytes: int = 0
    stored_bytes: int = 0
    files: int = 0
    note: str = ""
    held_by: str = ""


class Heartbeat(Message):
    """Renews the lease."""

    epoch: int
    progress: Progress


class HeartbeatReply(Message):
    """`cancel` asks the agent to stop; `access` is set when the SAS was renewed."""

    cancel: bool = False
    access: StorageAccess | None = None


class KeysRequest(Message):
    """The session's public key (same form as in BackupOrder), made for this restore alone.

    `packs`: ids (16 bytes) of those whose keys are wanted; None: of all that the point has, but of
    none where those are more than `at_most`: the head of each is read, which can take minutes.
    """

    epoch: int
    session_public_key: bytes
    packs: list[bytes] | None = None
    at_most: int | None = None


class KeysReply(Message):
    """HPKE to the session key, info = b"strongroom-session-1" + operation id: msgpack of

    {"manifest": 32 bytes, "packs": {pack id (16 bytes): content key (32 bytes)}}.
    """

    sealed: bytes


class ParentRequest(Message):
    """What an increment needs to know of the parent that its order names; `logical`: of the dump

    that a dump leans on.
    """

    epoch: int
    logical: bool = False
    part: int = -1  # just the page versions in this part


class ParentReply(Message):
    """Facts of the parent; nothing in it opens a pack.

    pg_manifest: PostgreSQL's own backup_manifest, one zstd frame. page_versions: path -> the words
    of its pages (docs/format.md).
    """

    system_identifier: str
    timeline: int
    start_lsn: str
    stop_lsn: str
    pg_manifest: bytes
    checksums: bool = False
    page_versions: dict[str, bytes] = {}
    page_parts: list[list[str]] = []  # too many for one answer: the paths of each part
    chunk_keys: bytes = b""  # of a logical point: the sorted digests of its chunks, 16 bytes each


class TableSize(Message):
    """A table, which is `schema.name`, with its indexes and TOAST.

    file: as the log names it, "number of the database/number of the file"; empty: not told.
    """

    database: str
    table: str
    bytes: int
    file: str = ""


class BackupResult(Message):
    """The delta is in storage; these are facts to show without opening it.

    kind: Full | Incremental | Logical. why_full: why a full one was taken though a parent was
    named. why_logical: why a dump was taken where more was asked for.
    """

    delta_size: int
    delta_blake3: bytes
    raw_bytes: int
    stored_bytes: int
    files: int
    packs: int
    start_lsn: str
    stop_lsn: str
    timeline: int
    version_number: int
    system_identifier: str
    databases: dict[str, int] = {}
    extensions: dict[str, str] = {}
    warnings: list[dict[str, Any]] = []
    kind: str = "Full"
    why_full: str = ""
    why_logical: str = ""
    read_bytes: int = 0  # that were read and written anew, before compression
    resumed: bool = False  # it leans on what earlier tries had stored
    tables: list[TableSize] = []  # the largest, as the backup began or a little later
    tablespaces: dict[str, int] = {}  # where it lies -> bytes


class RestoreResult(Message):
    """The target is written, synced and checked against PostgreSQL's own backup_manifest."""

    directory: str
    files: int
    written_bytes: int
    fetched_bytes: int
    started: bool = False
    port: int = 0
    next_steps: list[str] = []
    warnings: list[dict[str, Any]] = []


class Completion(Message):
    """Exactly one of them is set."""

    epoch: int
    backup: BackupResult | None = None
    restore: RestoreResult | None = None
    load: LoadResult | None = None
    verify: VerifyResult | None = None
    drill: DrillResult | None = None
    check: ServerFacts | None = None
    look: LookResult | None = None


class Failure(Message):
    """`error` is VaultError.to_dict(); `retryable` follows its `retry`."""

    epoch: int
    error: dict[str, Any]
    retryable: bool
