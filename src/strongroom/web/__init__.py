"""Doors for callers: the ARM API, the agents API, the portal."""
