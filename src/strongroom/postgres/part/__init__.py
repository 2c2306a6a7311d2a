"""A part of a recovery point in a scratch server, and points that are tried."""
