"""Servers: registered, protected, one or a hundred, and what ends it."""
