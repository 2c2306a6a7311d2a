"""Policies and settings, and whether an instance has what they promise."""
