"""Each promise on both databases: SQLite, and one PostgreSQL for the whole session."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.durable.stories import Processes
from integration.servers import Server

_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    postgres_server: Callable[[int], Server],
) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.sqlite"
    server = postgres_server(15)
    name = f"durable{next(_numbers)}"
    server.sql(f"create database {name}")
    return f"postgresql+psycopg://postgres@/{name}?host={server.home}&port={server.port}"


@pytest.fixture
def processes(url: str, tmp_path: Path) -> Iterator[Processes]:
    found = Processes(url, tmp_path)
    yield found
    found.close()
