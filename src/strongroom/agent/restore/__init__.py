"""Restores that leave a server: a new directory, in place, or a running server that is loaded."""
