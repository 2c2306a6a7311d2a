"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

import strongroom.catalog.basis.database

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "agents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("enrolled_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("seen_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("session", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_agents_token_hash")),
    )
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", strongroom.catalog.basis.database.JsonText(), nullable=False),
        sa.Column("before", strongroom.catalog.basis.database.JsonText(), nullable=False),
        sa.Column("after", strongroom.catalog.basis.database.JsonText(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit")),
    )
    op.create_table(
        "enrol_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("expires_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("used_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_enrol_tokens_agent_id_agents")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_enrol_tokens")),
    )
    op.create_table(
        "executors",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("seen_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executors")),
    )
    op.create_table(
        "failed_sign_ins",
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_failed_sign_ins")),
    )
    with op.batch_alter_table("failed_sign_ins", schema=None) as batch_op:
        batch_op.create_index("ix_failed_sign_ins_last_at", ["last_at"], unique=False)

    op.create_table(
        "installation",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
    )
    op.create_table(
        "operations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("ended_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column(
            "result",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column(
            "error",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
        sa.UniqueConstraint("request_key", name=op.f("uq_operations_request_key")),
    )
    op.create_table(
        "issuers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "audiences",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("subject_claim", sa.Text(), nullable=False),
        sa.Column("groups_claim", sa.Text(), nullable=False),
        sa.Column("ca", sa.Text(), nullable=False),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issuers")),
        sa.UniqueConstraint("name_key", name=op.f("uq_issuers_name_key")),
    )
    op.create_table(
        "role_definitions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column(
            "actions",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "not_actions",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "data_actions",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "not_data_actions",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "assignable_scopes",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_definitions")),
        sa.UniqueConstraint("name_key", name=op.f("uq_role_definitions_name_key")),
    )
    op.create_table(
        "principals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=True),
        sa.Column("secret_hash", sa.Text(), nullable=True),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.Column("issuer_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id"], ["issuers.id"], name=op.f("fk_principals_issuer_id_issuers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principals")),
        sa.UniqueConstraint("app_id", name=op.f("uq_principals_app_id")),
    )
    op.create_table(
        "resource_groups",
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column(
            "tags",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("deleted_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.PrimaryKeyConstraint("name_key", name=op.f("pk_resource_groups")),
    )
    op.create_table(
        "role_assignments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_key", sa.Text(), nullable=False),
        sa.Column("role_id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("principal_type", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_assignments")),
        sa.UniqueConstraint(
            "scope_key", "role_id", "principal_id", name=op.f("uq_role_assignments_scope_key")
        ),
    )
    op.create_table(
        "agent_operations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("workflow_id", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("withdrawn", sa.Integer(), nullable=False),
        sa.Column(
            "order",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "progress",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "result",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column(
            "error",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column("lease_until", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("ask", sa.Text(), nullable=True),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agent_operations_agent_id_agents")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_operations")),
    )
    with op.batch_alter_table("agent_operations", schema=None) as batch_op:
        batch_op.create_index(
            "ix_agent_operations_agent_status", ["agent_id", "status"], unique=False
        )

    op.create_table(
        "servers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource_group_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("agent_server", sa.Text(), nullable=False),
        sa.Column(
            "facts",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "tags",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("seen_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_servers_agent_id_agents")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_key"],
            ["resource_groups.name_key"],
            name=op.f("fk_servers_resource_group_key_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servers")),
        sa.UniqueConstraint(
            "resource_group_key", "name_key", name=op.f("uq_servers_resource_group_key")
        ),
    )
    op.create_table(
        "vaults",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource_group_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column(
            "properties",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "tags",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principals.id"], name=op.f("fk_vaults_principal_id_principals")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_key"],
            ["resource_groups.name_key"],
            name=op.f("fk_vaults_resource_group_key_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vaults")),
        sa.UniqueConstraint(
            "resource_group_key", "name_key", name=op.f("uq_vaults_resource_group_key")
        ),
    )
    op.create_table(
        "policies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vault_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["vault_id"], ["vaults.id"], name=op.f("fk_policies_vault_id_vaults")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
        sa.UniqueConstraint("vault_id", "name_key", name=op.f("uq_policies_vault_id")),
    )
    op.create_table(
        "policy_versions",
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("policy_id", "version", name=op.f("pk_policy_versions")),
    )
    op.create_table(
        "instances",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vault_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("server_id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column(
            "properties",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "tags",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "error",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.id"], name=op.f("fk_instances_policy_id_policies")
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name=op.f("fk_instances_server_id_servers")
        ),
        sa.ForeignKeyConstraint(
            ["vault_id"], ["vaults.id"], name=op.f("fk_instances_vault_id_vaults")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
        sa.UniqueConstraint("vault_id", "name_key", name=op.f("uq_instances_vault_id")),
    )
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index("ix_instances_policy", ["policy_id"], unique=False)
        batch_op.create_index("ix_instances_server", ["server_id"], unique=False)

    op.create_table(
        "instance_keys",
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_private", sa.LargeBinary(), nullable=False),
        sa.Column("escrow", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_instance_keys_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_instance_keys")),
        sa.UniqueConstraint(
            "instance_id", "purpose", "number", name=op.f("uq_instance_keys_instance_id")
        ),
    )
    op.create_table(
        "shreds",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("vault_id", sa.Text(), nullable=False),
        sa.Column("at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_shreds")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vault_id", sa.Text(), nullable=True),
        sa.Column("instance_id", sa.Text(), nullable=True),
        sa.Column("server_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("ended_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("user_triggered", sa.Boolean(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column(
            "order",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "progress",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "sub_tasks",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "error",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column(
            "warnings",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("recovery_point_id", sa.Text(), nullable=True),
        sa.Column("sealed_signature", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_jobs_instance_id_instances")
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name=op.f("fk_jobs_server_id_servers")
        ),
        sa.ForeignKeyConstraint(["vault_id"], ["vaults.id"], name=op.f("fk_jobs_vault_id_vaults")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_instance_status", ["instance_id", "status"], unique=False)
        batch_op.create_index("ix_jobs_kind_started", ["kind", "started_at"], unique=False)
        batch_op.create_index("ix_jobs_server", ["server_id"], unique=False)
        batch_op.create_index("ix_jobs_started", ["started_at"], unique=False)
        batch_op.create_index("ix_jobs_status", ["status"], unique=False)
        batch_op.create_index(
            "ix_jobs_vault_started", ["vault_id", "started_at", "id"], unique=False
        )

    op.create_table(
        "recovery_points",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("taken_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("committed_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("expires_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("manifest_size", sa.BigInteger(), nullable=False),
        sa.Column("manifest_blake3", sa.LargeBinary(), nullable=False),
        sa.Column("raw_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "facts",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_recovery_points_instance_id_instances"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_points")),
    )
    with op.batch_alter_table("recovery_points", schema=None) as batch_op:
        batch_op.create_index(
            "ix_recovery_points_instance_taken", ["instance_id", "taken_at"], unique=False
        )
        batch_op.create_index(
            "ix_recovery_points_state_taken", ["instance_id", "state", "taken_at"], unique=False
        )

    op.create_table(
        "schedules",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("next_fire_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_schedules_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", "rule_name", "position", name=op.f("pk_schedules")),
    )
    op.create_table(
        "censuses",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("taken_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_censuses_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_censuses")),
    )
    op.create_table(
        "storage_findings",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("found_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_storage_findings_instance_id_instances"),
        ),
        sa.PrimaryKeyConstraint("instance_id", "name", name=op.f("pk_storage_findings")),
    )
    op.create_table(
        "drills",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("recovery_point_id", sa.Text(), nullable=False),
        sa.Column("began_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("ended_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column(
            "result",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("evidence_name", sa.Text(), nullable=False),
        sa.Column("evidence_blake3", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_drills_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drills")),
    )
    with op.batch_alter_table("drills", schema=None) as batch_op:
        batch_op.create_index(
            "ix_drills_instance_ended", ["instance_id", "ended_at"], unique=False
        )

    op.create_table(
        "expiry_holds",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("recovery_point_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("since", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_expiry_holds_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint(
            "instance_id", "recovery_point_id", "kind", name=op.f("pk_expiry_holds")
        ),
    )
    op.create_table(
        "condemned",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_condemned_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", "name", name=op.f("pk_condemned")),
    )
    op.create_table(
        "deletions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("vault_id", sa.Text(), nullable=False),
        sa.Column("deleted_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("deleted_by", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Text(), nullable=False),
        sa.Column("purge_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("warned_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.ForeignKeyConstraint(
            ["vault_id"], ["vaults.id"], name=op.f("fk_deletions_vault_id_vaults")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletions")),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("point_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "names",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_holds_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sa.UniqueConstraint("instance_id", "name_key", name=op.f("uq_holds_instance_id")),
    )
    op.create_table(
        "resource_guards",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource_group_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column(
            "tags",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "exclusions",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("delay_hours", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_group_key"],
            ["resource_groups.name_key"],
            name=op.f("fk_resource_guards_resource_group_key_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_guards")),
        sa.UniqueConstraint(
            "resource_group_key",
            "name_key",
            name=op.f("uq_resource_guards_resource_group_key"),
        ),
    )
    op.create_table(
        "guard_proxies",
        sa.Column("vault_id", sa.Text(), nullable=False),
        sa.Column("guard_id", sa.Text(), nullable=False),
        sa.Column("updated_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["guard_id"],
            ["resource_guards.id"],
            name=op.f("fk_guard_proxies_guard_id_resource_guards"),
        ),
        sa.ForeignKeyConstraint(
            ["vault_id"], ["vaults.id"], name=op.f("fk_guard_proxies_vault_id_vaults")
        ),
        sa.PrimaryKeyConstraint("vault_id", name=op.f("pk_guard_proxies")),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("guard_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("asked", strongroom.catalog.basis.database.JsonText(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("good_from", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("expires_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("used_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.ForeignKeyConstraint(
            ["guard_id"],
            ["resource_guards.id"],
            name=op.f("fk_approvals_guard_id_resource_guards"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.create_index("ix_approvals_digest", ["digest"], unique=False)
        batch_op.create_index("ix_approvals_guard_state", ["guard_id", "state"], unique=False)

    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("since", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("ended_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("acknowledged_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("told_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.Column("end_told_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index("ix_alerts_ended_at", ["ended_at"], unique=False)

    op.create_table(
        "tellings",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("until", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("told_at", strongroom.catalog.basis.database.Utc(), nullable=True),
        sa.PrimaryKeyConstraint("what", "place", name=op.f("pk_tellings")),
    )
    op.create_table(
        "job_samples",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("done_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_job_samples")),
    )
    with op.batch_alter_table("job_samples", schema=None) as batch_op:
        batch_op.create_index("ix_job_samples_at", ["at"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "groups",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("issuer_id", sa.Text(), nullable=True),
        sa.Column("began_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("seen_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("ends_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index("ix_sessions_ends_at", ["ends_at"], unique=False)

    op.create_table(
        "told_servers",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "facts",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("agent_id", "name", name=op.f("pk_told_servers")),
    )
    op.create_table(
        "wal_packs",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("system_identifier", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("start_lsn", sa.BigInteger(), nullable=False),
        sa.Column("end_lsn", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("blake3", sa.LargeBinary(), nullable=False),
        sa.Column("committed_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("keep_until", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("commits", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("last_lsn", sa.BigInteger(), nullable=False),
        sa.Column("least_xid", sa.BigInteger(), nullable=False),
        sa.Column("most_xid", sa.BigInteger(), nullable=False),
        sa.Column(
            "seconds",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "ended",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "parts",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("going", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_wal_packs_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", "name", name=op.f("pk_wal_packs")),
    )
    with op.batch_alter_table("wal_packs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_wal_packs_place",
            [
                "instance_id",
                "timeline",
                "start_lsn",
                "end_lsn",
                "system_identifier",
                "going",
            ],
            unique=False,
        )

    op.create_table(
        "wal_histories",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("system_identifier", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_wal_histories_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint(
            "instance_id", "system_identifier", "timeline", name=op.f("pk_wal_histories")
        ),
    )
    op.create_table(
        "wal_names",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("lsn", sa.BigInteger(), nullable=False),
        sa.Column("system_identifier", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_wal_names_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", "timeline", "lsn", name=op.f("pk_wal_names")),
    )
    op.create_table(
        "wal_gaps",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("start_lsn", sa.BigInteger(), nullable=False),
        sa.Column("end_lsn", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("found_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_wal_gaps_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", "timeline", "start_lsn", name=op.f("pk_wal_gaps")),
    )
    op.create_table(
        "wal_streams",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("system_identifier", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("end_lsn", sa.BigInteger(), nullable=False),
        sa.Column("segment_size", sa.BigInteger(), nullable=False),
        sa.Column("told_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("kept_at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column(
            "facts",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_wal_streams_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_wal_streams")),
    )
    op.create_table(
        "usage",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("points_bytes", sa.BigInteger(), nullable=False),
        sa.Column("unique_bytes", sa.BigInteger(), nullable=False),
        sa.Column("log_bytes", sa.BigInteger(), nullable=False),
        sa.Column("waiting_bytes", sa.BigInteger(), nullable=False),
        sa.Column("full_bytes", sa.BigInteger(), nullable=False),
        sa.Column("server_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_usage_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", "day", name=op.f("pk_usage")),
    )
    with op.batch_alter_table("usage", schema=None) as batch_op:
        batch_op.create_index("ix_usage_day", ["day"], unique=False)

    op.create_table(
        "point_sizes",
        sa.Column("recovery_point_id", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("unique_bytes", sa.BigInteger(), nullable=False),
        sa.Column("shared_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_point_sizes_instance_id_instances")
        ),
        sa.ForeignKeyConstraint(
            ["recovery_point_id"],
            ["recovery_points.id"],
            name=op.f("fk_point_sizes_recovery_point_id_recovery_points"),
        ),
        sa.PrimaryKeyConstraint("recovery_point_id", name=op.f("pk_point_sizes")),
    )
    with op.batch_alter_table("point_sizes", schema=None) as batch_op:
        batch_op.create_index("ix_point_sizes_instance", ["instance_id"], unique=False)

    op.create_table(
        "bills",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("resource_group", sa.Text(), nullable=False),
        sa.Column("vault", sa.Text(), nullable=False),
        sa.Column(
            "tags",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("redundancy", sa.Text(), nullable=False),
        sa.Column("unit_months", sa.Float(), nullable=False),
        sa.Column("gb_months", sa.Float(), nullable=False),
        sa.Column("units_price", sa.Float(), nullable=False),
        sa.Column("storage_price", sa.Float(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("at", strongroom.catalog.basis.database.Utc(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "month", name=op.f("pk_bills")),
    )
    with op.batch_alter_table("bills", schema=None) as batch_op:
        batch_op.create_index("ix_bills_month", ["month"], unique=False)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("bills", schema=None) as batch_op:
        batch_op.drop_index("ix_bills_month")

    op.drop_table("bills")
    with op.batch_alter_table("point_sizes", schema=None) as batch_op:
        batch_op.drop_index("ix_point_sizes_instance")

    op.drop_table("point_sizes")
    with op.batch_alter_table("usage", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_day")

    op.drop_table("usage")
    op.drop_table("wal_streams")
    op.drop_table("wal_gaps")
    op.drop_table("wal_names")
    op.drop_table("wal_histories")
    with op.batch_alter_table("wal_packs", schema=None) as batch_op:
        batch_op.drop_index("ix_wal_packs_place")

    op.drop_table("wal_packs")
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.drop_index("ix_alerts_ended_at")

    op.drop_table("tellings")
    op.drop_table("alerts")
    with op.batch_alter_table("job_samples", schema=None) as batch_op:
        batch_op.drop_index("ix_job_samples_at")

    op.drop_table("job_samples")
    op.drop_table("told_servers")
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index("ix_sessions_ends_at")

    op.drop_table("sessions")
    op.drop_table("guard_proxies")
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.drop_index("ix_approvals_guard_state")
        batch_op.drop_index("ix_approvals_digest")

    op.drop_table("approvals")
    op.drop_table("resource_guards")
    op.drop_table("holds")
    op.drop_table("deletions")
    op.drop_table("condemned")
    op.drop_table("expiry_holds")
    with op.batch_alter_table("drills", schema=None) as batch_op:
        batch_op.drop_index("ix_drills_instance_ended")

    op.drop_table("drills")
    op.drop_table("storage_findings")
    op.drop_table("censuses")
    op.drop_table("schedules")
    with op.batch_alter_table("recovery_points", schema=None) as batch_op:
        batch_op.drop_index("ix_recovery_points_state_taken")
        batch_op.drop_index("ix_recovery_points_instance_taken")

    op.drop_table("recovery_points")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index("ix_jobs_vault_started")
        batch_op.drop_index("ix_jobs_status")
        batch_op.drop_index("ix_jobs_started")
        batch_op.drop_index("ix_jobs_kind_started")
        batch_op.drop_index("ix_jobs_instance_status")
        batch_op.drop_index("ix_jobs_server")

    op.drop_table("jobs")
    op.drop_table("shreds")
    op.drop_table("instance_keys")
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_index("ix_instances_server")
        batch_op.drop_index("ix_instances_policy")

    op.drop_table("instances")
    op.drop_table("policy_versions")
    op.drop_table("policies")
    op.drop_table("vaults")
    op.drop_table("servers")
    with op.batch_alter_table("agent_operations", schema=None) as batch_op:
        batch_op.drop_index("ix_agent_operations_agent_status")

    op.drop_table("agent_operations")
    op.drop_table("role_assignments")
    op.drop_table("resource_groups")
    op.drop_table("principals")
    op.drop_table("role_definitions")
    op.drop_table("issuers")
    op.drop_table("operations")
    op.drop_table("installation")
    with op.batch_alter_table("failed_sign_ins", schema=None) as batch_op:
        batch_op.drop_index("ix_failed_sign_ins_last_at")

    op.drop_table("failed_sign_ins")
    op.drop_table("executors")
    op.drop_table("enrol_tokens")
    op.drop_table("audit")
    op.drop_table("agents")
