"""Steps that bring a catalogue from one version's tables to the next. Alembic runs them."""
