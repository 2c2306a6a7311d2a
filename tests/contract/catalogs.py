"""A catalogue on each of its two databases: whatever takes `database` is tried on both."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.servers import Server, start_server
from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import upgrade

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL for the whole session."""
    with start_server(15) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def make_database(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[], Database]]:
    """`make_database()`: a new, empty one each time, on one of the two."""
    made: list[Database] = []

    def make() -> Database:
        number = next(_numbers)
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/catalogue{number}.sqlite"
        else:
            server: Server = request.getfixturevalue("postgres")
            server.sql(f"create database catalogue{number}")
            where = f"host={server.home}&port={server.port}"
            url = f"postgresql+psycopg://postgres@/catalogue{number}?{where}"
        made.append(Database(url))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def database(make_database: Callable[[], Database]) -> Database:
    """A catalogue with every table and no row."""
    found = make_database()
    upgrade(found)
    return found
