"""One house, one PostgreSQL and one person for each file of journeys."""

from collections.abc import Iterator

import pytest

from journey.person import Person, a_person
from journey.world import House, Postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    found = House()
    try:
        found.start_all()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    with a_person() as found:
        yield found
