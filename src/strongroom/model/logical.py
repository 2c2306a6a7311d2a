"""Logical points in the agent's protocol: what is asked of a dump and of its loading.

BackupOrder.dump   a dump is asked for, not a copy of the data directory
Lease.load         LoadOrder -> Completion.load LoadResult
"""

from typing import Any

import msgspec

LOGICAL = "Logical"  # the kind of a recovery point
GLOBALS = "globals.sql"
PARAMETERS = "parameters.json"
EXTENSIONS = "extensions.json"


class _Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """As every message of the protocol."""


class DumpWish(_Message):
    """Dump every database, stored in chunks.

    chunk_key: 32 bytes, the key of the chunks' digests. parent: the logical point whose chunks
    need not be stored again (its digests are asked for at `.../parent`); empty: there is none.
    """

    chunk_key: bytes
    parent: str = ""


class LoadOrder(_Message):
    """Load databases of a logical point into a running server that the agent looks after.

    databases: name in the point -> name there; empty: every one, under its own name.
    """

    server: str
    job_id: str
    recovery_point_id: str
    instance_id: str
    manifest_name: str
    databases: dict[str, str] = {}
    with_roles: bool = False


class LoadResult(_Message):
    """What was loaded: names in the target."""

    databases: list[str]
    loaded_bytes: int
    fetched_bytes: int
    next_steps: list[str] = []
    warnings: list[dict[str, Any]] = []
