"""The tables of the portal: who is signed in."""

import sqlalchemy as sa

from strongroom.catalog.columns import column, metadata
from strongroom.catalog.database import Utc

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),  # SHA-256 of the cookie, hex
    column("principal_id", sa.Text),
    column("began_at", Utc),
    column("seen_at", Utc),
    column("ends_at", Utc),
    sa.Index("ix_sessions_ends_at", "ends_at"),
)
