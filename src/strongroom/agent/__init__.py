"""The process beside PostgreSQL: it leases operations, moves bytes, and decides nothing."""
