"""A restore as it is asked for: of what, to where, and what is left of one that ended early."""
