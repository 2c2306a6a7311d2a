from contract.catalogs import database, make_database, postgres

__all__ = ["database", "make_database", "postgres"]
