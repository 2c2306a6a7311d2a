"""PostgreSQL bytes in, events out: no socket, no file, no clock."""
