"""The tables of what keeps things: deletions, holds, and guards with their approvals."""

import sqlalchemy as sa

from strongroom.catalog.basis.columns import Json, column, metadata
from strongroom.catalog.basis.database import JsonText, Utc

expiry_holds = sa.Table(
    "expiry_holds",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("recovery_point_id", sa.Text, primary_key=True),  # whose elders are held
    sa.Column("kind", sa.Text, primary_key=True),  # anomaly | drill
    column("why", sa.Text),
    column("since", Utc),
)

deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # of what was deleted
    column("kind", sa.Text),  # instance | point | vault
    column("vault_id", sa.Text, sa.ForeignKey("vaults.id")),
    column("deleted_at", Utc),
    column("deleted_by", sa.Text),
    column("activity_id", sa.Text),  # the operation that did it
    column("purge_at", Utc),
    column("begun", sa.Boolean),  # purging has begun: there is no way back
    sa.Column("warned_at", Utc),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits: the hold's name in storage
    column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    sa.Column("point_id", sa.Text),  # absent: the whole instance, and what is still to come
    column("name", sa.Text),
    column("name_key", sa.Text),
    column("reason", sa.Text),
    column("state", sa.Text),  # setting | held | releasing
    column("names", Json),  # what it holds in storage
    column("set_by", sa.Text),
    column("set_at", Utc),
    sa.UniqueConstraint("instance_id", "name_key"),
)

resource_guards = sa.Table(
    "resource_guards",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # 32 hex digits
    column("resource_group_key", sa.Text, sa.ForeignKey("resource_groups.name_key")),
    column("name", sa.Text),
    column("name_key", sa.Text),
    column("location", sa.Text),
    column("tags", Json),
    column("exclusions", Json),  # names of operations that it does not protect
    column("delay_hours", sa.Integer),  # between an approval and the time from which it is good
    column("version", sa.Integer),  # counts changes: the ETag
    column("created_at", Utc),
    sa.UniqueConstraint("resource_group_key", "name_key"),
)

guard_proxies = sa.Table(
    "guard_proxies",
    metadata,
    sa.Column("vault_id", sa.Text, sa.ForeignKey("vaults.id"), primary_key=True),
    column("guard_id", sa.Text, sa.ForeignKey("resource_guards.id")),
    column("updated_at", Utc),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # a UUID
    column("guard_id", sa.Text, sa.ForeignKey("resource_guards.id")),
    column("operation", sa.Text),  # model/resources/guard.py
    column("scope", sa.Text),  # what it is done to
    column("asked", JsonText),  # what exactly, for people
    column("digest", sa.Text),  # of operation, scope and what exactly
    column("asked_by", sa.Text),
    column("asked_at", Utc),
    column("state", sa.Text),  # Waiting | Granted | Denied | Withdrawn | Used
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", Utc),
    sa.Column("good_from", Utc),  # once it is decided
    column("expires_at", Utc),  # of the request while it waits, of the approval from then on
    sa.Column("used_at", Utc),
    sa.Index("ix_approvals_guard_state", "guard_id", "state"),
    sa.Index("ix_approvals_digest", "digest"),
)
