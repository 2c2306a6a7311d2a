"""strongroom: a self-hosted backup vault for PostgreSQL."""

__version__ = "0.1.0"
