"""What the user sees and restores."""

from typing import Any, NamedTuple

import msgspec
from whenever import Instant

from strongroom.model.ids import GenerationId, InstanceId, JobId, RecoveryPointId


class RecoveryPoint(msgspec.Struct, kw_only=True):
    """A committed recovery point. Times are service time; sizes are bytes."""

    id: RecoveryPointId
    instance_id: InstanceId
    job_id: JobId
    kind: str  # Full | Incremental
    taken_at: Instant
    committed_at: Instant
    expires_at: Instant
    tag: str
    policy_id: str
    policy_version: int
    policy_name: str
    generation: GenerationId
    manifest_size: int
    manifest_blake3: bytes
    raw_bytes: int
    stored_bytes: int
    # version_number, start_lsn, stop_lsn, timeline, databases, extensions, tables: the largest,
    # [database, schema.name, bytes] each
    facts: dict[str, Any]
    state: str  # Completed


class Shelf(NamedTuple):
    """Which points are looked through; empty: any. until: taken before then."""

    tag: str = ""
    kind: str = ""
    until: Instant | None = None
