"""Backups: PostgreSQL in, packs and one delta out; physical (full, increment) and logical."""
