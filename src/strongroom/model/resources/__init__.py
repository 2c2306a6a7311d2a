"""Vaults and what guards them, as they are asked for on the wire."""
