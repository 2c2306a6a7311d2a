"""The process beside PostgreSQL: leases operations, moves bytes, decides nothing."""
