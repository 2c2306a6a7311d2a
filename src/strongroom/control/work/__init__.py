"""Agents, and the jobs they work on."""
