"""The database of catalogue and engine stops at once and comes back: stories wait it out."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from whenever import Instant

from integration.durable.stories import ENDED, until
from integration.servers import Server, start_server
from strongroom.catalog.basis.database import Database
from strongroom.catalog.tables.tables import executors
from strongroom.durable.engine import JobEngine, Story, WorkflowState
from strongroom.model.errors import ControlUnavailable

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
STEPS = 12


@pytest.fixture
def server() -> Iterator[Server]:
    with start_server(15) as found:
        yield found


class Ledger:
    """A story of twelve steps, each of which writes one row into the catalogue."""

    def __init__(self, server: Server) -> None:
        url = f"postgresql+psycopg://postgres@/postgres?host={server.home}&port={server.port}"
        self.database = Database(url)
        executors.create(self.database.engine)
        self.engine = JobEngine(url, executor_id="a", listen_seconds=0.05)
        self.engine.register("ledger", self.story)
        self.engine.launch()
        self.done: list[int] = []
        self.held = threading.Event()
        self.gate = threading.Event()

    def story(self, story: Story) -> int:
        for number in range(STEPS):
            story.step("write", self.write, number)
            story.wait("nothing", 0.05)
        return STEPS

    def write(self, number: int) -> None:
        """Safe twice, as a step must be: a commit whose answer is lost may have gone through."""
        if number == 3:
            self.held.set()
            assert self.gate.wait(30)
        with self.database.writing() as connection:
            there = sa.select(executors.c.id).where(executors.c.id == f"{number:02}")
            if connection.execute(there).scalar() is None:
                row = executors.insert().values(id=f"{number:02}", seen_at=NOW)
                connection.execute(row)
        self.done.append(number)

    def begin(self) -> None:
        with self.database.writing() as connection:
            self.engine.enqueue(connection, "ledger", "w1")

    def close(self) -> None:
        self.gate.set()
        self.engine.close()
        self.database.close()


@pytest.fixture
def ledger(server: Server) -> Iterator[Ledger]:
    found = Ledger(server)
    yield found
    found.close()


def assert_whole(ledger: Ledger) -> None:
    """The story has succeeded; each row is there, and each step was done once."""

    def look() -> object:
        found = ledger.engine.status("w1")
        return found if found and found.state in ENDED else None

    found = until("the story to end", look)
    assert (found.state, found.result, found.error) == (WorkflowState.SUCCEEDED, STEPS, None)
    with ledger.database.reading() as connection:
        rows = connection.execute(sa.select(executors.c.id).order_by(executors.c.id)).scalars()
        assert list(rows) == [f"{number:02}" for number in range(STEPS)]
    assert ledger.done == list(range(STEPS))


def test_a_step_that_meets_an_outage_waits_until_the_catalogue_is_back(
    server: Server, ledger: Ledger
) -> None:
    ledger.begin()
    assert ledger.held.wait(30)
    server.stop("immediate")
    ledger.gate.set()
    with pytest.raises(ControlUnavailable):
        ledger.engine.status("w1")
    with pytest.raises(ControlUnavailable):
        ledger.engine.notify("w1", "news", 1)
    with pytest.raises(ControlUnavailable):
        ledger.begin()
    server.start()
    assert_whole(ledger)


def test_a_story_whose_history_cannot_be_written_waits_until_it_can(
    server: Server, ledger: Ledger
) -> None:
    """Between two steps, where the engine itself writes and waits."""
    ledger.gate.set()
    ledger.begin()
    until("the story to be under way", lambda: len(ledger.done) > 4)
    server.stop("immediate")
    server.start()
    assert_whole(ledger)


def test_a_process_that_is_told_to_end_in_an_outage_ends_and_its_story_goes_on_later(
    server: Server, ledger: Ledger
) -> None:
    ledger.begin()
    assert ledger.held.wait(30)
    server.stop("immediate")
    ledger.gate.set()
    closing = threading.Thread(target=ledger.engine.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    server.start()
    ledger.engine = JobEngine(ledger.database.url, executor_id="a", listen_seconds=0.05)
    ledger.engine.register("ledger", ledger.story)
    ledger.engine.launch()
    assert_whole(ledger)
