"""A restore, and the loading of a logical point."""
