"""The tables of what lies in storage, as it was counted once a day, and what it has cost."""

import sqlalchemy as sa

from strongroom.catalog.basis.columns import Json, column, metadata
from strongroom.catalog.basis.database import Utc

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

# Refers to nothing: what a month has cost stays, whatever becomes of the instance.
bills = sa.Table(
    "bills",
    metadata,
    sa.Column("instance_id", sa.Text, primary_key=True),
    sa.Column("month", sa.Text, primary_key=True),  # 2026-11, of UTC
    column("name", sa.Text),
    column("resource_group", sa.Text),
    column("vault", sa.Text),
    column("tags", Json),
    column("redundancy", sa.Text),
    column("unit_months", sa.Float),
    column("gb_months", sa.Float),
    column("units_price", sa.Float),
    column("storage_price", sa.Float),
    column("currency", sa.Text),
    column("closed", sa.Boolean),
    column("at", Utc),
    sa.Index("ix_bills_month", "month"),
)
