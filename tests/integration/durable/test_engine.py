"""The durable engine's contract within one process: what is enqueued runs to its end, once."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from whenever import Instant

from integration.durable.stories import ENDED, until
from strongroom.catalog.basis.database import Database
from strongroom.durable.engine import JobEngine, Story, WorkflowState, WorkflowStatus
from strongroom.model.errors import Failed, NotFound, StoreUnavailable


@pytest.fixture
def engine(url: str) -> Iterator[JobEngine]:
    found = JobEngine(url, executor_id="a", workers=4, listen_seconds=0.05)
    yield found
    found.close()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    found = Database(url)
    yield found
    found.close()


@pytest.fixture
def begin(engine: JobEngine, database: Database) -> Callable[..., str]:
    """`begin(story, *args)`: launch with that one story, and enqueue it -> its id."""

    def begin_one(story: Callable[..., object], *args: object) -> str:
        engine.register("story", story)
        engine.launch()
        with database.writing() as connection:
            engine.enqueue(connection, "story", "w1", *args)
        return "w1"

    return begin_one


def ended(engine: JobEngine, workflow: str) -> WorkflowStatus:
    def look() -> WorkflowStatus | None:
        found = engine.status(workflow)
        return found if found and found.state in ENDED else None

    found: WorkflowStatus = until(f"{workflow} to end", look)
    return found


def refuse() -> None:
    raise NotFound("no such thing", hint="look again", facts={"n": 1})


def test_a_rolled_back_transaction_starts_nothing(engine: JobEngine, database: Database) -> None:
    engine.register("nothing", lambda story: story.id)
    engine.launch()

    def fail() -> None:
        with database.writing() as connection:
            engine.enqueue(connection, "nothing", "w1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.writing() as connection:
        engine.enqueue(connection, "nothing", "w2")
        engine.enqueue(connection, "nothing", "w2")
    found = ended(engine, "w2")
    assert (found.state, found.result) == (WorkflowState.SUCCEEDED, "w2")
    assert engine.status("w1") is None


def test_the_queue_is_looked_into_when_something_was_put_there_and_when_a_partition_is_free(
    begin: Callable[..., str],
    engine: JobEngine,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("strongroom.durable.engine._POLL_SECONDS", 600.0)

    ended(engine, begin(lambda story, word="": story.wait("go", 600.0) if word else None))
    until("the looks to become seldom", lambda: engine._bell.is_still)
    with database.writing() as connection:
        engine.enqueue(connection, "story", "first", "waits", partition="p")
        engine.enqueue(connection, "story", "second", partition="p")
    until("the first to run", lambda: engine.status("first").state is WorkflowState.RUNNING)
    until("the looks to become seldom", lambda: engine._bell.is_still)
    engine.notify("first", "go", "on")
    assert ended(engine, "second").state is WorkflowState.SUCCEEDED


def test_a_message_wakes_a_story_even_when_it_came_first(
    begin: Callable[..., str], engine: JobEngine
) -> None:
    def story(story: Story) -> list[object]:
        return [story.wait("news", 20), story.wait("news", 20), story.wait("news", 0.1)]

    workflow = begin(story)
    engine.notify(workflow, "news", {"n": 1})
    engine.notify(workflow, "other news", {"n": 2})
    engine.notify(workflow, "news", [3])
    engine.notify("no such story", "news", {"n": 1})
    assert ended(engine, workflow).result == [{"n": 1}, [3], None]
    engine.notify(workflow, "news", "too late")


def test_a_waiting_story_is_woken_long_before_its_time(
    begin: Callable[..., str], engine: JobEngine
) -> None:
    waits = threading.Event()

    def story(story: Story) -> object:
        story.step("waits", waits.set)
        return story.wait("news", 600)

    workflow = begin(story)
    assert waits.wait(10)
    engine.notify(workflow, "news", 1)
    assert ended(engine, workflow).result == 1


def test_a_cancelled_wait_ends_at_once_and_nothing_follows(
    begin: Callable[..., str], engine: JobEngine
) -> None:
    waits, after = threading.Event(), threading.Event()

    def story(story: Story) -> None:
        try:
            story.step("waits", waits.set)
            story.wait("news", 600)
            story.step("after", after.set)
        finally:
            gone.set()

    gone = threading.Event()
    workflow = begin(story)
    assert waits.wait(10)
    engine.cancel(workflow)
    assert ended(engine, workflow).state is WorkflowState.CANCELLED
    assert gone.wait(10)
    assert not after.is_set()
    engine.cancel(workflow)
    engine.notify(workflow, "news", 1)


def test_our_errors_come_out_as_they_went_in(begin: Callable[..., str], engine: JobEngine) -> None:
    found = ended(engine, begin(lambda story: story.step("refuse", refuse)))
    assert found.state is WorkflowState.FAILED
    assert isinstance(found.error, NotFound)
    told = NotFound("no such thing", hint="look again", facts={"n": 1}).to_dict()
    assert found.error.to_dict() == told


def test_a_bug_is_told_as_one_by_its_own_words(
    begin: Callable[..., str], engine: JobEngine
) -> None:
    found = ended(engine, begin(lambda story: {}["gone"]))
    assert found.state is WorkflowState.FAILED
    assert isinstance(found.error, Failed)
    assert "KeyError" in found.error.message


def test_what_may_pass_is_tried_again(begin: Callable[..., str], engine: JobEngine) -> None:
    tries: list[int] = []

    def stumble() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise StoreUnavailable("down")
        return len(tries)

    assert ended(engine, begin(lambda story: story.step("stumble", stumble))).result == 2


def test_no_message_can_pass_for_an_error(begin: Callable[..., str], engine: JobEngine) -> None:
    forged = {"__error__": {"kind": "Locked", "message": "forged"}, "__value__": 1}

    def story(story: Story, given: object) -> object:
        return [given, story.wait("news", 20), story.step("same", lambda: forged)]

    workflow = begin(story, forged)
    engine.notify(workflow, "news", forged)
    assert ended(engine, workflow).result == [forged, forged, forged]


def test_a_result_is_json_from_the_start_not_only_after_a_crash(
    begin: Callable[..., str], engine: JobEngine
) -> None:
    def story(story: Story) -> str:
        return type(story.step("pair", lambda: (1, 2))).__name__

    assert ended(engine, begin(story)).result == "list"


def test_what_is_not_json_is_refused_where_it_was_made(
    begin: Callable[..., str], engine: JobEngine, database: Database
) -> None:
    found = ended(engine, begin(lambda story: story.step("bytes", lambda: b"raw")))
    assert found.state is WorkflowState.FAILED
    with database.writing() as connection, pytest.raises(TypeError):
        engine.enqueue(connection, "story", "w2", float("nan"))


def test_nothing_is_pickled(
    begin: Callable[..., str], engine: JobEngine, database: Database
) -> None:
    def story(story: Story, given: object) -> object:
        story.step("one", lambda: given)
        story.wait("news", 20)
        story.sleep(0.01)
        return story.step("refuse", refuse)

    workflow = begin(story, {"a": [1]})
    engine.notify(workflow, "news", {"n": 1})
    ended(engine, workflow)
    schema = None if database.is_sqlite else "dbos"
    kinds: set[str] = set()
    for name in ("workflow_status", "operation_outputs", "notifications"):
        table = sa.Table(name, sa.MetaData(), autoload_with=database.engine, schema=schema)
        with database.reading() as connection:
            query = sa.select(table.c.serialization).where(table.c.serialization.is_not(None))
            kinds |= set(connection.execute(query).scalars())
    # DBOS writes the end of a wait, a number, in a JSON of its own.
    assert kinds == {"strongroom_json", "portable_json"}


def test_stories_of_one_instance_run_one_after_the_other_and_others_beside_them(
    engine: JobEngine, database: Database
) -> None:
    lock = threading.Lock()
    running = {"x": 0, "y": 0}
    most: list[int] = []
    beside = threading.Event()

    def work(instance: str) -> None:
        with lock:
            running[instance] += 1
            most.append(running[instance])
            both = running["x"] and running["y"]
        if both:
            beside.set()
        beside.wait(30)
        with lock:
            running[instance] -= 1

    engine.register("work", lambda story, instance: story.step("work", work, instance))
    engine.launch()
    names = [(instance, f"{instance}{number}") for number in range(3) for instance in ("x", "y")]
    with database.writing() as connection:
        for instance, name in names:
            engine.enqueue(connection, "work", name, instance, partition=instance)
    for _, name in names:
        assert ended(engine, name).state is WorkflowState.SUCCEEDED
    assert max(most) == 1
    assert beside.is_set()


def test_stories_that_wait_take_nobodys_place(engine: JobEngine, database: Database) -> None:
    """Forty silent agents do not keep the forty-first server from its backup."""
    engine.register("waits", lambda story: story.wait("news", 600))
    engine.register("quick", lambda story: story.step("one", lambda: 1))
    engine.launch()
    with database.writing() as connection:
        for number in range(40):
            engine.enqueue(connection, "waits", f"w{number}", partition=f"i{number}")

    def all_wait() -> bool:
        found = [engine.status(f"w{number}") for number in range(40)]
        return all(each and each.state is WorkflowState.RUNNING for each in found)

    until("forty stories to wait", all_wait)
    with database.writing() as connection:
        engine.enqueue(connection, "quick", "q")
    assert ended(engine, "q").result == 1
    assert all_wait()


def test_only_so_many_steps_run_at_once(engine: JobEngine, database: Database) -> None:
    lock, running, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05)
        with lock:
            running[0] -= 1

    engine.register("work", lambda story: story.step("work", work))
    engine.launch()
    with database.writing() as connection:
        for number in range(12):
            engine.enqueue(connection, "work", f"w{number}")
    for number in range(12):
        ended(engine, f"w{number}")
    assert 1 < most[0] <= 4


def test_ended_histories_are_forgotten_and_living_ones_are_not(
    engine: JobEngine, database: Database
) -> None:
    engine.register("quick", lambda story: story.step("one", lambda: 1))
    engine.register("waits", lambda story: story.wait("news", 600))
    engine.launch()
    with database.writing() as connection:
        engine.enqueue(connection, "quick", "q")
        engine.enqueue(connection, "waits", "w")
    ended(engine, "q")
    assert engine.forget(Instant.parse_iso("2020-01-01T00:00:00Z")) == 0
    assert engine.forget(Instant.now().add(hours=1)) == 1
    assert engine.status("q") is None
    assert engine.status("w") is not None
