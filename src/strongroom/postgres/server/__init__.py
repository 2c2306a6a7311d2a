"""Reaching a server and running one: connections, refusals, PostgreSQL's own programs."""
