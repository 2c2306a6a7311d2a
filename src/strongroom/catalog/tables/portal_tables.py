"""The tables of the portal: who is signed in, what needs somebody, how jobs went."""

import sqlalchemy as sa

from strongroom.catalog.basis.columns import Json, column, metadata
from strongroom.catalog.basis.database import Utc

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),  # SHA-256 of the cookie, hex
    column("principal_id", sa.Text),
    column("name", sa.Text),  # for people
    column("groups", Json),  # object ids, as an issuer has told at the begin
    sa.Column("issuer_id", sa.Text),  # who vouched, if not we
    column("began_at", Utc),
    column("seen_at", Utc),
    column("ends_at", Utc),
    sa.Index("ix_sessions_ends_at", "ends_at"),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # a UUID
    column("key", sa.Text),  # of its cause; one that has not ended has it alone
    column("subject", sa.Text),  # an instance, an agent, or nothing
    column("severity", sa.Text),  # grave | warning | notice
    column("title", sa.Text),
    column("words", sa.Text),
    column("hint", sa.Text),
    column("path", sa.Text),  # of the portal
    column("since", Utc),
    sa.Column("ended_at", Utc),
    sa.Column("acknowledged_at", Utc),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("told_at", Utc),
    sa.Column("end_told_at", Utc),
    sa.Index("ix_alerts_ended_at", "ended_at"),
)

tellings = sa.Table(
    "tellings",
    metadata,
    sa.Column("what", sa.Text, primary_key=True),  # an alert's begin or end, a day's digest
    sa.Column("place", sa.Text, primary_key=True),  # where it is told, by its name
    column("until", Utc),  # so long one process has it to itself
    sa.Column("told_at", Utc),
)

job_samples = sa.Table(
    "job_samples",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    column("at", Utc),
    column("step", sa.Text),
    column("note", sa.Text),
    column("done_bytes", sa.BigInteger),
    column("stored_bytes", sa.BigInteger),
    sa.Index("ix_job_samples_at", "at"),
)

told_servers = sa.Table(
    "told_servers",
    metadata,
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # the agent's own for it
    column("facts", Json),  # model.operation.ServerFacts
)
