"""Backup instances: what surrounds them, when they are next, what is left of them."""
