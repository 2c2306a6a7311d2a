"""The tables of what lies in storage, as it was counted once a day."""

import sqlalchemy as sa

from strongroom.catalog.columns import column, metadata
from strongroom.catalog.database import Utc

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),  # 2026-11-27, of UTC
    column("at", Utc),
    column("stored_bytes", sa.BigInteger),
    column("points_bytes", sa.BigInteger),
    column("unique_bytes", sa.BigInteger),
    column("log_bytes", sa.BigInteger),
    column("waiting_bytes", sa.BigInteger),
    column("full_bytes", sa.BigInteger),
    column("server_bytes", sa.BigInteger),
    sa.Index("ix_usage_day", "day"),
)

point_sizes = sa.Table(
    "point_sizes",
    metadata,
    sa.Column("recovery_point_id", sa.Text, sa.ForeignKey("recovery_points.id"), primary_key=True),
    column("instance_id", sa.Text, sa.ForeignKey("instances.id")),
    column("unique_bytes", sa.BigInteger),
    column("shared_bytes", sa.BigInteger),
    sa.Index("ix_point_sizes_instance", "instance_id"),
)
