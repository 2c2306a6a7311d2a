"""From points and the log back to servers: planned, examined, begun."""
