"""The tables of who is believed, and of roles that are no built-in ones."""

import sqlalchemy as sa

from strongroom.catalog.basis.columns import Json, column, metadata
from strongroom.catalog.basis.database import Utc

issuers = sa.Table(
    "issuers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    column("name", sa.Text),
    sa.Column("name_key", sa.Text, unique=True, nullable=False),  # the name in lower case
    column("url", sa.Text),  # `iss` of its tokens
    column("audiences", Json),  # what `aud` may say
    column("subject_claim", sa.Text),
    column("groups_claim", sa.Text),
    column(
        "ca", sa.Text
    ),  # PEM of the authority that vouches for its address; empty: a public one
    column("created_at", Utc),
    column("created_by", sa.Text),
)

role_definitions = sa.Table(
    "role_definitions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    column("name", sa.Text),
    sa.Column("name_key", sa.Text, unique=True, nullable=False),  # the name in lower case
    column("description", sa.Text),
    column("actions", Json),
    column("not_actions", Json),
    column("data_actions", Json),
    column("not_data_actions", Json),
    column("assignable_scopes", Json),
    column("created_at", Utc),
    column("created_by", sa.Text),
    column("updated_at", Utc),
    column("updated_by", sa.Text),
)
