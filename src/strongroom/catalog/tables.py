"""Every table of the catalogue. `name_key` is the lower-case name: ARM names ignore case."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from strongroom.catalog.database import JsonText, Utc

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Json = sa.JSON().with_variant(JSONB(), "postgresql")


def _column(
    name: str,
    kind: Any,  # noqa: ANN401 - whatever SQLAlchemy takes for a type
    *more: sa.schema.SchemaItem,
) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=False)


installation = sa.Table(
    "installation",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _column("value", sa.Text),
)

principals = sa.Table(
    "principals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # object id, a UUID
    _column("kind", sa.Text),  # service | vault | user
    _column("display_name", sa.Text),
    sa.Column("app_id", sa.Text, unique=True),  # client id of a service principal
    sa.Column("secret_hash", sa.Text),  # scrypt; absent for a vault's identity
    _column("created_at", Utc),
)

failed_sign_ins = sa.Table(
    "failed_sign_ins",
    metadata,
    sa.Column("who", sa.Text, primary_key=True),  # address and client id
    _column("failures", sa.Integer),  # in a row
    _column("last_at", Utc),
    sa.Index("ix_failed_sign_ins_last_at", "last_at"),
)

role_assignments = sa.Table(
    "role_assignments",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # the assignment's GUID
    _column("scope", sa.Text),
    _column("scope_key", sa.Text),
    _column("role_id", sa.Text),  # GUID of the role definition
    _column("principal_id", sa.Text),
    _column("principal_type", sa.Text),
    sa.Column("description", sa.Text),
    _column("created_at", Utc),
    _column("created_by", sa.Text),
    sa.UniqueConstraint("scope_key", "role_id", "principal_id"),
)

resource_groups = sa.Table(
    "resource_groups",
    metadata,
    sa.Column("name_key", sa.Text, primary_key=True),
    _column("name", sa.Text),
    _column("location", sa.Text),
    _column("tags", Json),
    _column("created_at", Utc),
)

vaults = sa.Table(
    "vaults",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits
    _column("resource_group_key", sa.Text, sa.ForeignKey("resource_groups.name_key")),
    _column("name", sa.Text),
    _column("name_key", sa.Text),
    _column("location", sa.Text),
    _column("principal_id", sa.Text, sa.ForeignKey("principals.id")),
    _column("properties", Json),
    _column("tags", Json),
    _column("state", sa.Text),  # Provisioning | Succeeded | SoftDeleted
    _column("version", sa.Integer),  # counts changes: the ETag
    _column("created_at", Utc),
    sa.UniqueConstraint("resource_group_key", "name_key"),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    _column("name", sa.Text),
    _column("name_key", sa.Text),
    _column("properties", sa.Text),  # JSON text, echoed as it came
    _column("version", sa.Integer),
    _column("created_at", Utc),
    sa.UniqueConstraint("vault_id", "name_key"),
)

policy_versions = sa.Table(
    "policy_versions",
    metadata,
    sa.Column("policy_id", sa.Text, primary_key=True),  # its row may be gone
    sa.Column("version", sa.Integer, primary_key=True),
    _column("name", sa.Text),
    _column("properties", sa.Text),  # JSON text, as it was echoed then
    _column("created_at", Utc),
    _column("created_by", sa.Text),  # a principal
)

enrol_tokens = sa.Table(
    "enrol_tokens",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),  # SHA-256, hex
    _column("expires_at", Utc),
    sa.Column("used_at", Utc),
    sa.Column("agent_id", sa.Text, sa.ForeignKey("agents.id")),  # who used it
)

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("name", sa.Text),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),  # SHA-256, hex
    _column("version", sa.Text),
    _column("enrolled_at", Utc),
    _column("seen_at", Utc),
    sa.Column("session", sa.Text),  # of the process that called last: others' calls are void
)

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("resource_group_key", sa.Text, sa.ForeignKey("resource_groups.name_key")),
    _column("name", sa.Text),
    _column("name_key", sa.Text),
    _column("location", sa.Text),
    _column("agent_id", sa.Text, sa.ForeignKey("agents.id")),
    _column("agent_server", sa.Text),  # the agent's own name for it
    _column("facts", Json),  # model.operation.ServerFacts
    _column("tags", Json),
    _column("created_at", Utc),
    sa.Column("seen_at", Utc),
    sa.UniqueConstraint("resource_group_key", "name_key"),
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits: the container's name too
    _column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    _column("name", sa.Text),
    _column("name_key", sa.Text),
    _column("server_id", sa.Text, sa.ForeignKey("servers.id")),
    _column("policy_id", sa.Text, sa.ForeignKey("policies.id")),
    _column("properties", Json),  # as asked; read-only fields left out
    _column("tags", Json),
    _column("state", sa.Text),  # currentProtectionState
    sa.Column("error", Json),
    _column("created_at", Utc),
    sa.UniqueConstraint("vault_id", "name_key"),
)

instance_keys = sa.Table(
    "instance_keys",
    metadata,
    sa.Column("key_id", sa.LargeBinary, primary_key=True),  # 16 bytes
    _column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    _column("purpose", sa.Text),  # catalogue | data
    _column("number", sa.Integer),  # counts from 1: the highest is what writers are given
    _column("public_key", sa.LargeBinary),
    _column("sealed_private", sa.LargeBinary),  # under the key-encryption key
    sa.Column("escrow", sa.LargeBinary),  # BLAKE3 of the object for the recovery key, once put
    _column("created_at", Utc),
    sa.UniqueConstraint("instance_id", "purpose", "number"),
)

shreds = sa.Table(
    "shreds",
    metadata,
    sa.Column("instance_id", sa.Text, primary_key=True),  # its row may be gone
    _column("vault_id", sa.Text),
    _column("at", Utc),
    _column("certificate", sa.LargeBinary),  # signed: datastore/certificate.py
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("rule_name", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),  # which repeating interval of the rule
    _column("next_fire_at", Utc),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    _column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    _column("kind", sa.Text),  # Backup | Restore
    _column("status", sa.Text),  # InProgress | Completed | CompletedWithWarnings | Failed
    _column("started_at", Utc),
    sa.Column("ended_at", Utc),
    _column("rule_name", sa.Text),
    _column("tag", sa.Text),
    _column("user_triggered", sa.Boolean),
    _column("requested_by", sa.Text),
    _column("order", Json),  # what was asked: restore target, recovery point, ...
    _column("progress", Json),  # model.operation.Progress
    _column("sub_tasks", Json),  # [{name, status, started, ended}]
    sa.Column("error", Json),
    _column("warnings", Json),
    sa.Column("recovery_point_id", sa.Text),
    sa.Column("sealed_signature", sa.LargeBinary),  # opens its target; gone when it ends
    sa.Index("ix_jobs_vault_started", "vault_id", "started_at"),
    sa.Index("ix_jobs_instance_status", "instance_id", "status"),
    sa.Index("ix_jobs_status", "status"),
)

recovery_points = sa.Table(
    "recovery_points",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits
    _column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    _column("job_id", sa.Text),
    _column("kind", sa.Text),  # Full | Incremental
    _column("taken_at", Utc),  # service time of the start of the backup
    _column("committed_at", Utc),
    _column("expires_at", Utc),
    _column("tag", sa.Text),
    _column("policy_id", sa.Text),
    _column("policy_version", sa.Integer),
    _column("generation", sa.Text),
    _column("manifest_size", sa.BigInteger),
    _column("manifest_blake3", sa.LargeBinary),
    _column("raw_bytes", sa.BigInteger),
    _column("stored_bytes", sa.BigInteger),
    _column("facts", Json),  # version, LSNs, databases with sizes, extensions
    _column("state", sa.Text),  # see catalog/recovery_points.py
    sa.Index("ix_recovery_points_instance_taken", "instance_id", "taken_at"),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # ARM long-running operation
    _column("kind", sa.Text),
    _column("resource_id", sa.Text),
    _column("status", sa.Text),  # Inprogress | Succeeded | Failed | Canceled
    _column("started_at", Utc),
    sa.Column("ended_at", Utc),
    sa.Column("result", Json),
    sa.Column("error", Json),
    _column("principal_id", sa.Text),
    sa.Column("request_key", sa.Text, unique=True),  # client request id + route: asked twice
)

agent_operations = sa.Table(
    "agent_operations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text),
    sa.Column("workflow_id", sa.Text),  # who waits for it
    _column("agent_id", sa.Text, sa.ForeignKey("agents.id")),
    _column("kind", sa.Text),  # backup | restore | check
    _column("status", sa.Text),  # offered | leased | completed | failed | cancelled
    _column("epoch", sa.Integer),  # counts leases: a later one makes an earlier one void
    _column("withdrawn", sa.Integer),  # up to this epoch, access to storage was withdrawn
    _column("order", Json),
    _column("progress", Json),
    sa.Column("result", Json),
    sa.Column("error", Json),
    sa.Column("lease_until", Utc),
    sa.Column("session", sa.Text),  # of the agent's process that holds the lease
    sa.Column("ask", sa.Text),  # of the call that the lease was the answer to
    _column("created_at", Utc),
    sa.Index("ix_agent_operations_agent_status", "agent_id", "status"),
)

censuses = sa.Table(
    "censuses",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    _column("taken_at", Utc),  # when its receipts were last compared with the catalogue
)

storage_findings = sa.Table(
    "storage_findings",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # of the object
    _column("kind", sa.Text),  # quarantined (a receipt) | damaged (any object)
    _column("problem", sa.Text),
    _column("found_at", Utc),
)

drills = sa.Table(
    "drills",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # of the job
    _column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    _column("recovery_point_id", sa.Text),
    _column("began_at", Utc),
    _column("ended_at", Utc),
    _column("verdict", sa.Text),  # Passed | Failed
    _column("result", Json),  # model.drill.DrillResult
    _column("evidence_name", sa.Text),  # of the object that states it, signed
    _column("evidence_blake3", sa.LargeBinary),
    sa.Index("ix_drills_instance_ended", "instance_id", "ended_at"),
)

expiry_holds = sa.Table(
    "expiry_holds",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("recovery_point_id", sa.Text, primary_key=True),  # whose elders are held
    sa.Column("kind", sa.Text, primary_key=True),  # anomaly | drill
    _column("why", sa.Text),
    _column("since", Utc),
)

condemned = sa.Table(
    "condemned",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # of the object
    _column("size", sa.BigInteger),
    _column("state", sa.Text),  # condemned | going | retained
    _column("since", Utc),
)

deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # of what was deleted
    _column("kind", sa.Text),  # instance | point | vault
    _column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    _column("deleted_at", Utc),
    _column("deleted_by", sa.Text),
    _column("activity_id", sa.Text),  # the operation that did it
    _column("purge_at", Utc),
    _column("begun", sa.Boolean),  # purging has begun: there is no way back
    sa.Column("warned_at", Utc),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits: the hold's name in storage
    _column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    sa.Column("point_id", sa.Text),  # absent: the whole instance, and what is still to come
    _column("name", sa.Text),
    _column("name_key", sa.Text),
    _column("reason", sa.Text),
    _column("state", sa.Text),  # setting | held | releasing
    _column("names", Json),  # what it holds in storage
    _column("set_by", sa.Text),
    _column("set_at", Utc),
    sa.UniqueConstraint("instance_id", "name_key"),
)

executors = sa.Table(
    "executors",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("seen_at", Utc),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True),
    _column("at", Utc),
    _column("actor", sa.Text),  # a principal, agent:ID, or the service
    _column("address", sa.Text),  # of a caller
    _column("action", sa.Text),
    _column("target", sa.Text),
    _column("detail", JsonText),
    _column("before", JsonText),
    _column("after", JsonText),
    _column("previous", sa.LargeBinary),
    _column("digest", sa.LargeBinary),
    _column("signature", sa.LargeBinary),  # empty: of a process that has no key
)

resource_guards = sa.Table(
    "resource_guards",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits
    _column("resource_group_key", sa.Text, sa.ForeignKey("resource_groups.name_key")),
    _column("name", sa.Text),
    _column("name_key", sa.Text),
    _column("location", sa.Text),
    _column("tags", Json),
    _column("exclusions", Json),  # names of operations that it does not protect
    _column("version", sa.Integer),  # counts changes: the ETag
    _column("created_at", Utc),
    sa.UniqueConstraint("resource_group_key", "name_key"),
)

guard_proxies = sa.Table(
    "guard_proxies",
    metadata,
    sa.Column("vault_id", sa.Text, sa.ForeignKey("vaults.id"), primary_key=True),
    _column("guard_id", sa.Text, sa.ForeignKey("resource_guards.id")),
    _column("updated_at", Utc),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # a UUID
    _column("guard_id", sa.Text, sa.ForeignKey("resource_guards.id")),
    _column("operation", sa.Text),  # model/guard.py
    _column("scope", sa.Text),  # what it is done to
    _column("asked", JsonText),  # what exactly, for people
    _column("digest", sa.Text),  # of operation, scope and what exactly
    _column("asked_by", sa.Text),
    _column("asked_at", Utc),
    _column("state", sa.Text),  # Waiting | Granted | Denied | Used
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", Utc),
    _column("expires_at", Utc),  # of the request while it waits, of the approval from then on
    sa.Column("used_at", Utc),
    sa.Index("ix_approvals_guard_state", "guard_id", "state"),
    sa.Index("ix_approvals_digest", "digest"),
)
