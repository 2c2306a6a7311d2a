"""Issuers of tokens that are believed beside our own."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.access_tables import issuers as table
from strongroom.model.identities.issuer import Issuer


def add(connection: sa.Connection, issuer: Issuer, at: Instant, by: str) -> None:
    """One more."""
    row = {
        "id": issuer.id,
        "name": issuer.name,
        "name_key": issuer.name.lower(),
        "url": issuer.url,
        "audiences": list(issuer.audiences),
        "subject_claim": issuer.subject_claim,
        "groups_claim": issuer.groups_claim,
        "ca": issuer.ca,
        "created_at": at,
        "created_by": by,
    }
    connection.execute(table.insert().values(**row))


def find(connection: sa.Connection, name: str) -> Issuer | None:
    """By its name, in any case."""
    return _first(connection, table.c.name_key == name.lower())


def find_by_url(connection: sa.Connection, url: str) -> Issuer | None:
    """By what its tokens say in `iss`.

    There is one, unless a snapshot was laid over an older catalogue: then the last one counts.
    """
    return _first(connection, table.c.url == url)


def list_all(connection: sa.Connection) -> list[Issuer]:
    """All of them, by name."""
    query = sa.select(table).order_by(table.c.name_key)
    return [_issuer(row) for row in connection.execute(query).mappings()]


def remove(connection: sa.Connection, issuer_id: str) -> None:
    """No longer believed; whom it vouched for must be gone before."""
    connection.execute(table.delete().where(table.c.id == issuer_id))


def _first(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Issuer | None:
    query = sa.select(table).where(which).order_by(table.c.created_at.desc())
    row = connection.execute(query).mappings().first()
    return None if row is None else _issuer(row)


def _issuer(row: sa.RowMapping) -> Issuer:
    return Issuer(
        id=row["id"],
        name=row["name"],
        url=row["url"],
        audiences=tuple(row["audiences"]),
        subject_claim=row["subject_claim"],
        groups_claim=row["groups_claim"],
        ca=row["ca"],
    )
