"""How Alembic meets the catalogue: over a connection that `catalog/migrate.py` hands it."""

from alembic import context

from strongroom.catalog.tables.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
