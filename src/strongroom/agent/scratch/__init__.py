"""A part of a recovery point: one database, one table, taken out through a throw-away server."""
