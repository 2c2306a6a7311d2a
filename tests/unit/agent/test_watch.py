"""When an agent looks at its servers again."""

from pathlib import Path

import pytest

from seams import FakeClock
from strongroom.agent.servers import ServerBook
from strongroom.agent.watch import ServerWatch
from strongroom.model.work.operation import ServerFacts

FACTS_SECONDS = 60.0


@pytest.fixture
def book(tmp_path: Path) -> ServerBook:
    book = ServerBook(tmp_path / "servers.json")
    book.add("orders", "host=/tmp user=postgres")
    return book


def test_servers_are_looked_at_no_more_often_than_they_must_be(book):
    clock, looks = FakeClock(), []

    def look(conninfo: object, name: str) -> ServerFacts:
        looks.append(name)
        return ServerFacts(name=name, ready=True)

    watch = ServerWatch(book, look, clock, lambda _, call: call(), facts_seconds=FACTS_SECONDS)
    for _ in range(5):
        watch.refresh()
    assert looks == ["orders"]
    clock.advance(FACTS_SECONDS - 1)
    watch.refresh()
    assert looks == ["orders"]
    clock.advance(1)
    for _ in range(5):
        watch.refresh()
    assert looks == ["orders"] * 2
    book.add("reports", "host=/tmp user=postgres")
    for _ in range(5):
        watch.refresh()
    assert sorted(looks[2:]) == ["orders", "reports"]
