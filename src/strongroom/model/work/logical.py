"""Logical points in the agent's protocol: what is asked of a dump and of its loading.

BackupOrder.dump   a dump is asked for, not a copy of the data directory
Lease.load         LoadOrder -> Completion.load LoadResult
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from strongroom.model.errors import Invalid

LOGICAL = "Logical"  # the kind of a recovery point
GLOBALS = "globals.sql"
PARAMETERS = "parameters.json"
EXTENSIONS = "extensions.json"
LONGEST_NAME = 64  # bytes, with the zero at its end


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


class LoadRequest(msgspec.Struct, kw_only=True):
    """Load databases of a logical point into a registered server.

    databases: as in LoadOrder. agent_id, agent_server: who looks after the server, and under what
    name; filled in when the request is examined.
    """

    target_server: str
    databases: dict[str, str] = {}
    with_roles: bool = False
    agent_id: str = ""
    agent_server: str = ""


def read_load(target_server: object, databases: object, *, with_roles: bool) -> LoadRequest:
    """Checked at the door. Raises Invalid."""
    if not isinstance(target_server, str) or not target_server:
        raise Invalid("a load names its server", hint="Set load.targetServer to a server's name.")
    if not isinstance(databases, Mapping):
        raise Invalid(
            "load.databases is not an object", hint="Map each database to its name there."
        )
    for name in (*databases, *databases.values()):
        if not isinstance(name, str) or not 0 < len(name.encode()) < LONGEST_NAME or "\0" in name:
            raise Invalid(
                f"{str(name)[:80]!r} is not the name of a database",
                hint="Write it as PostgreSQL shows it: 1 to 63 bytes.",
            )
    if len(set(databases.values())) != len(databases):
        raise Invalid("two databases would have one name", hint="Rename one of them.")
    return LoadRequest(
        target_server=target_server, databases=dict(databases), with_roles=with_roles
    )
