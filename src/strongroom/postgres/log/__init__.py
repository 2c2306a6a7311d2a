"""The write-ahead log as a server gives it, and what it tells."""
