"""Writing a data directory: whole before it counts, nothing outside of it."""
