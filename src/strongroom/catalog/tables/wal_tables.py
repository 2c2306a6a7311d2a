"""The tables of the write-ahead log: what is kept of it, what is missing, how it comes."""

import sqlalchemy as sa

from strongroom.catalog.basis.columns import Json, column, metadata
from strongroom.catalog.basis.database import Utc

wal_packs = sa.Table(
    "wal_packs",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # of the object
    column("system_identifier", sa.Text),
    column("timeline", sa.BigInteger),
    column("start_lsn", sa.BigInteger),
    column("end_lsn", sa.BigInteger),
    column("size", sa.BigInteger),
    column("blake3", sa.LargeBinary),
    column("committed_at", Utc),
    column("keep_until", Utc),  # as was promised when it was committed
    column("commits", sa.Integer),
    column("first_at", sa.BigInteger),  # of its commits: microseconds since 1970, 0 without one
    column("last_at", sa.BigInteger),
    column("last_lsn", sa.BigInteger),  # where the record of the last commit begins
    column("least_xid", sa.BigInteger),
    column("most_xid", sa.BigInteger),
    column("seconds", Json),  # model.wal.Second
    column("ended", Json),  # runs of transactions, model.wal.Summary
    column("parts", Json),
    column("going", sa.Boolean),  # its deletion is under way: nothing is restored from it
    # The places come first; with the rest of it, what is kept is summed from the index alone.
    sa.Index(
        "ix_wal_packs_place",
        *("instance_id", "timeline", "start_lsn", "end_lsn", "system_identifier", "going"),
    ),
)

wal_histories = sa.Table(
    "wal_histories",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("system_identifier", sa.Text, primary_key=True),
    sa.Column("timeline", sa.BigInteger, primary_key=True),
    column("text", sa.Text),  # as PostgreSQL writes it
)

wal_names = sa.Table(
    "wal_names",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("timeline", sa.BigInteger, primary_key=True),
    sa.Column("lsn", sa.BigInteger, primary_key=True),  # the end of its record
    column("system_identifier", sa.Text),
    column("name", sa.Text),  # of a restore point
    column("at", sa.BigInteger),  # microseconds since 1970
)

wal_gaps = sa.Table(
    "wal_gaps",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("timeline", sa.BigInteger, primary_key=True),
    sa.Column("start_lsn", sa.BigInteger, primary_key=True),
    column("end_lsn", sa.BigInteger),  # 0: nobody knows
    column("why", sa.Text),
    column("found_at", Utc),
)

wal_streams = sa.Table(
    "wal_streams",
    metadata,
    sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), primary_key=True),
    column("system_identifier", sa.Text),  # of what was kept last; empty: nothing yet
    column("timeline", sa.BigInteger),
    column("end_lsn", sa.BigInteger),
    column("segment_size", sa.BigInteger),  # bytes
    column("told_at", Utc),
    column("kept_at", Utc),  # when the vault was last level with the server
    column("facts", Json),  # state, why, slot, serverLsn: as the agent told it last
)
