"""Logical backups: dumped, told by their table of contents, loaded."""
