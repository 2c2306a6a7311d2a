"""A backup from its choice of a parent to its commit, and what a policy makes of points."""
