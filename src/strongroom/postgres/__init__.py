"""Reading and restoring PostgreSQL. It does not know where the bytes go."""
