"""What is known: SQLAlchemy Core tables and one file a noun. It records, it never decides."""
