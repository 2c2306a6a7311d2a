"""The long tests: `make campaign SEED=n`."""

from integration.conftest import postgres_server

__all__ = ["postgres_server"]
