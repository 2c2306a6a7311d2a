"""Every table of the catalogue. `name_key` is the lower-case name: ARM names ignore case."""

import sqlalchemy as sa

from strongroom.catalog.basis import columns
from strongroom.catalog.basis.columns import Json, column
from strongroom.catalog.basis.database import JsonText, Utc
from strongroom.catalog.tables import (
    access_tables,
    keeping_tables,
    portal_tables,
    usage_tables,
    wal_tables,
)

metadata = columns.metadata
OTHERS = (
    access_tables,
    keeping_tables,
    portal_tables,
    usage_tables,
    wal_tables,
)  # their tables are among those of the metadata

installation = sa.Table(
    "installation",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    column("value", sa.Text),
)

principals = sa.Table(
    "principals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # object id, a UUID
    column("kind", sa.Text),  # service | vault | user | group
    column("display_name", sa.Text),
    sa.Column("app_id", sa.Text, unique=True),  # client id of a service principal
    sa.Column("secret_hash", sa.Text),  # scrypt; absent for a vault's identity
    sa.Column("certificate", sa.Text),  # PEM, for client assertions
    sa.Column("issuer_id", sa.Text, sa.ForeignKey("issuers.id")),  # who vouches, if not we
    sa.Column("subject", sa.Text),  # what that issuer calls them
    column("created_at", Utc),
)

failed_sign_ins = sa.Table(
    "failed_sign_ins",
    metadata,
    sa.Column("who", sa.Text, primary_key=True),  # address and client id
    column("failures", sa.Integer),  # in a row
    column("last_at", Utc),
    sa.Index("ix_failed_sign_ins_last_at", "last_at"),
)

role_assignments = sa.Table(
    "role_assignments",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # the assignment's GUID
    column("scope", sa.Text),
    column("scope_key", sa.Text),
    column("role_id", sa.Text),  # GUID of the role definition
    column("principal_id", sa.Text),
    column("principal_type", sa.Text),
    sa.Column("description", sa.Text),
    column("created_at", Utc),
    column("created_by", sa.Text),
    sa.UniqueConstraint("scope_key", "role_id", "principal_id"),
)

resource_groups = sa.Table(
    "resource_groups",
    metadata,
    sa.Column("name_key", sa.Text, primary_key=True),
    column("name", sa.Text),
    column("location", sa.Text),
    column("tags", Json),
    column("created_at", Utc),
    sa.Column("deleted_at", Utc),  # it is kept for the deleted vaults in it, to be had back
)

vaults = sa.Table(
    "vaults",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits
    column("resource_group_key", sa.Text, sa.ForeignKey("resource_groups.name_key")),
    column("name", sa.Text),
    column("name_key", sa.Text),
    column("location", sa.Text),
    column("principal_id", sa.Text, sa.ForeignKey("principals.id")),
    column("properties", Json),
    column("tags", Json),
    column("state", sa.Text),  # Provisioning | Succeeded | SoftDeleted
    column("version", sa.Integer),  # counts changes: the ETag
    column("created_at", Utc),
    sa.UniqueConstraint("resource_group_key", "name_key"),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    column("name", sa.Text),
    column("name_key", sa.Text),
    column("properties", sa.Text),  # JSON text, echoed as it came
    column("version", sa.Integer),
    column("created_at", Utc),
    sa.UniqueConstraint("vault_id", "name_key"),
)

policy_versions = sa.Table(
    "policy_versions",
    metadata,
    sa.Column("policy_id", sa.Text, primary_key=True),  # its row may be gone
    sa.Column("version", sa.Integer, primary_key=True),
    column("name", sa.Text),
    column("properties", sa.Text),  # JSON text, as it was echoed then
    column("created_at", Utc),
    column("created_by", sa.Text),  # a principal
)

enrol_tokens = sa.Table(
    "enrol_tokens",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),  # SHA-256, hex
    column("expires_at", Utc),
    sa.Column("used_at", Utc),
    sa.Column("agent_id", sa.Text, sa.ForeignKey("agents.id")),  # who used it
)

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    column("name", sa.Text),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),  # SHA-256, hex
    column("version", sa.Text),
    column("enrolled_at", Utc),
    column("seen_at", Utc),
    sa.Column("session", sa.Text),  # of the process that called last: others' calls are void
)

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    column("resource_group_key", sa.Text, sa.ForeignKey("resource_groups.name_key")),
    column("name", sa.Text),
    column("name_key", sa.Text),
    column("location", sa.Text),
    column("agent_id", sa.Text, sa.ForeignKey("agents.id")),
    column("agent_server", sa.Text),  # the agent's own name for it
    column("facts", Json),  # model.operation.ServerFacts
    column("tags", Json),
    column("created_at", Utc),
    sa.Column("seen_at", Utc),
    sa.UniqueConstraint("resource_group_key", "name_key"),
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits: the container's name too
    column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    column("name", sa.Text),
    column("name_key", sa.Text),
    column("server_id", sa.Text, sa.ForeignKey("servers.id")),
    column("policy_id", sa.Text, sa.ForeignKey("policies.id")),
    column("properties", Json),  # as asked; read-only fields left out
    column("tags", Json),
    column("state", sa.Text),  # currentProtectionState
    sa.Column("error", Json),
    column("created_at", Utc),
    sa.UniqueConstraint("vault_id", "name_key"),
    sa.Index("ix_instances_policy", "policy_id"),
    sa.Index("ix_instances_server", "server_id"),
)

instance_keys = sa.Table(
    "instance_keys",
    metadata,
    sa.Column("key_id", sa.LargeBinary, primary_key=True),  # 16 bytes
    column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    column("purpose", sa.Text),  # catalogue | data
    column("number", sa.Integer),  # counts from 1: the highest is what writers are given
    column("public_key", sa.LargeBinary),
    column("sealed_private", sa.LargeBinary),  # under the key-encryption key
    sa.Column("escrow", sa.LargeBinary),  # BLAKE3 of the object for the recovery key, once put
    column("created_at", Utc),
    sa.UniqueConstraint("instance_id", "purpose", "number"),
)

shreds = sa.Table(
    "shreds",
    metadata,
    sa.Column("instance_id", sa.Text, primary_key=True),  # its row may be gone
    column("vault_id", sa.Text),
    column("at", Utc),
    column("certificate", sa.LargeBinary),  # signed: datastore/certificate.py
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("rule_name", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),  # which repeating interval of the rule
    column("next_fire_at", Utc),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # Of a server's own job that nothing protects, vault and instance are null.
    sa.Column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    sa.Column("server_id", sa.Text, sa.ForeignKey("servers.id")),  # of a long-term backup
    column("kind", sa.Text),  # Backup | Restore
    column("status", sa.Text),  # InProgress | Completed | CompletedWithWarnings | Failed
    column("started_at", Utc),
    sa.Column("ended_at", Utc),
    column("rule_name", sa.Text),
    column("tag", sa.Text),
    column("user_triggered", sa.Boolean),
    column("requested_by", sa.Text),
    column("order", Json),  # what was asked: restore target, recovery point, ...
    column("progress", Json),  # model.operation.Progress
    column("sub_tasks", Json),  # [{name, status, started, ended}]
    sa.Column("error", Json),
    column("warnings", Json),
    sa.Column("recovery_point_id", sa.Text),
    sa.Column("sealed_signature", sa.LargeBinary),  # opens its target; gone when it ends
    sa.Index("ix_jobs_vault_started", "vault_id", "started_at", "id"),
    sa.Index("ix_jobs_instance_status", "instance_id", "status"),
    sa.Index("ix_jobs_kind_started", "kind", "started_at"),
    sa.Index("ix_jobs_server", "server_id"),
    sa.Index("ix_jobs_started", "started_at"),
    sa.Index("ix_jobs_status", "status"),
)

recovery_points = sa.Table(
    "recovery_points",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits
    column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    column("job_id", sa.Text),
    column("kind", sa.Text),  # Full | Incremental
    column("taken_at", Utc),  # service time of the start of the backup
    column("committed_at", Utc),
    column("expires_at", Utc),
    column("tag", sa.Text),
    column("policy_id", sa.Text),
    column("policy_version", sa.Integer),
    column("generation", sa.Text),
    column("manifest_size", sa.BigInteger),
    column("manifest_blake3", sa.LargeBinary),
    column("raw_bytes", sa.BigInteger),
    column("stored_bytes", sa.BigInteger),
    column("facts", Json),  # version, LSNs, databases with sizes, extensions
    column("state", sa.Text),  # see catalog/recovery_points.py
    sa.Index("ix_recovery_points_instance_taken", "instance_id", "taken_at"),
    sa.Index("ix_recovery_points_state_taken", "instance_id", "state", "taken_at"),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # ARM long-running operation
    column("kind", sa.Text),
    column("resource_id", sa.Text),
    column("status", sa.Text),  # Inprogress | Succeeded | Failed | Canceled
    column("started_at", Utc),
    sa.Column("ended_at", Utc),
    sa.Column("result", Json),
    sa.Column("error", Json),
    column("principal_id", sa.Text),
    sa.Column("request_key", sa.Text, unique=True),  # client request id + route: asked twice
)

agent_operations = sa.Table(
    "agent_operations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text),
    sa.Column("workflow_id", sa.Text),  # who waits for it
    column("agent_id", sa.Text, sa.ForeignKey("agents.id")),
    column("kind", sa.Text),  # backup | restore | check
    column("status", sa.Text),  # offered | leased | completed | failed | cancelled
    column("epoch", sa.Integer),  # counts leases: a later one makes an earlier one void
    column("withdrawn", sa.Integer),  # up to this epoch, access to storage was withdrawn
    column("order", Json),
    column("progress", Json),
    sa.Column("result", Json),
    sa.Column("error", Json),
    sa.Column("lease_until", Utc),
    sa.Column("session", sa.Text),  # of the agent's process that holds the lease
    sa.Column("ask", sa.Text),  # of the call that the lease was the answer to
    column("created_at", Utc),
    sa.Index("ix_agent_operations_agent_status", "agent_id", "status"),
)

censuses = sa.Table(
    "censuses",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    column("taken_at", Utc),  # when its receipts were last compared with the catalogue
)

storage_findings = sa.Table(
    "storage_findings",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # of the object
    column("kind", sa.Text),  # quarantined (a receipt) | damaged | missing | unlocked
    column("problem", sa.Text),
    column("found_at", Utc),
)

drills = sa.Table(
    "drills",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # of the job
    column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    column("recovery_point_id", sa.Text),
    column("began_at", Utc),
    column("ended_at", Utc),
    column("verdict", sa.Text),  # Passed | Failed
    column("result", Json),  # model.drill.DrillResult
    column("evidence_name", sa.Text),  # of the object that states it, signed
    column("evidence_blake3", sa.LargeBinary),
    column("evidence", sa.LargeBinary),  # the object itself, to be handed out
    sa.Index("ix_drills_instance_ended", "instance_id", "ended_at"),
)

condemned = sa.Table(
    "condemned",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # of the object
    column("size", sa.BigInteger),
    column("state", sa.Text),  # condemned | going | retained
    column("since", Utc),
)

executors = sa.Table(
    "executors",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    column("seen_at", Utc),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True),
    column("at", Utc),
    column("actor", sa.Text),  # a principal, agent:ID, or the service
    column("address", sa.Text),  # of a caller
    column("action", sa.Text),
    column("target", sa.Text),
    column("detail", JsonText),
    column("before", JsonText),
    column("after", JsonText),
    column("previous", sa.LargeBinary),
    column("digest", sa.LargeBinary),
    column("signature", sa.LargeBinary),  # empty: of a process that has no key
)
