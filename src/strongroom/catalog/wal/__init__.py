"""The write-ahead log that is kept, and whose is asked for."""
