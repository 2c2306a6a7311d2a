"""Servers under policies: protected, changed, stopped, deleted."""
