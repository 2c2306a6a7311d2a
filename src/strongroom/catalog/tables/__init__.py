"""Every table of the catalogue."""
