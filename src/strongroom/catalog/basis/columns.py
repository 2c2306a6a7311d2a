"""What every table of the catalogue is made of."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Json = sa.JSON().with_variant(JSONB(), "postgresql")


def column(
    name: str,
    kind: Any,  # noqa: ANN401 - whatever SQLAlchemy takes for a type
    *more: sa.schema.SchemaItem,
) -> sa.Column[Any]:
    """One that is never null."""
    return sa.Column(name, kind, *more, nullable=False)
