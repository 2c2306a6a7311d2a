"""Slowing down whoever guesses a secret, however many processes they ask, on both databases."""

import threading

import pytest

from seams import FakeClock, SeededChance
from strongroom.catalog.basis.database import Database
from strongroom.control.basis.control import Control
from strongroom.control.identities.identity import (
    FREE_TRIES,
    create_service_principal,
    pause_after,
    sign_in,
)
from strongroom.durable.engine import JobEngine
from strongroom.model.errors import SlowDown, Unauthenticated, VaultError
from strongroom.model.installation import Installation
from strongroom.model.work.operation import StorageAccess

HERE, SECRET = "10.0.0.1", "correct horse"


def a_process(database: Database, clock: FakeClock) -> Control:
    """One `serve`, as far as signing in goes: another one has a `Database` of its own."""
    return Control(
        database=Database(database.url),
        jobs=JobEngine(database.url, executor_id="test"),
        clock=clock,
        chance=SeededChance(),
        installation=Installation(
            tenant_id="t",
            subscription_id="s",
            location="local",
            resource_group="g",
            public_url="https://localhost:1",
            portal_url="http://127.0.0.1:2",
        ),
        release_keys=lambda *asked: b"",
        grant_access=lambda *asked: StorageAccess(container_url="", sas={}, expires_at=""),
        give_identifier=lambda *asked: None,
        withdraw_identifier=lambda *asked: None,
    )


class Site:
    """Two processes over one catalogue, and one clock."""

    def __init__(self, database: Database) -> None:
        self.clock = FakeClock()
        self.processes = [a_process(database, self.clock) for _ in range(2)]
        for name in ("app", "other"):
            create_service_principal(self.processes[0], name, name, SECRET, [])

    def close(self) -> None:
        for process in self.processes:
            process.jobs.close()
            process.database.close()

    def outcome(self, number: int, secret: str, address: str = HERE, app: str = "app") -> object:
        try:
            sign_in(self.processes[number % 2], address, app, secret)
        except VaultError as error:
            return type(error)
        return "in"

    def fail(self, times: int) -> None:
        for number in range(times):
            assert self.outcome(number, "wrong") is Unauthenticated


@pytest.fixture
def site(database: Database):
    found = Site(database)
    yield found
    found.close()


def test_five_failures_are_free_and_then_the_wait_doubles_to_a_minute():
    waits = [pause_after(number) for number in range(1, 20)]
    assert waits[:8] == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == 60.0


def test_failures_at_one_process_slow_down_tries_at_the_other(site):
    site.fail(FREE_TRIES)
    assert [site.outcome(number, SECRET) for number in range(2)] == [SlowDown, SlowDown]
    site.clock.advance(1.0)
    assert site.outcome(1, "wrong") is Unauthenticated
    site.clock.advance(1.5)
    assert site.outcome(0, SECRET) is SlowDown


def test_others_do_not_wait(site):
    site.fail(FREE_TRIES)
    assert site.outcome(0, SECRET, address="10.0.0.2") == "in"
    assert site.outcome(0, SECRET, app="other") == "in"


def test_success_forgives(site):
    site.fail(FREE_TRIES)
    site.clock.advance(1.0)
    assert site.outcome(0, SECRET) == "in"
    site.fail(FREE_TRIES)


def test_an_unknown_client_is_slowed_down_as_a_known_one_is(site):
    outcomes = [site.outcome(number, "wrong", app="nobody") for number in range(FREE_TRIES + 1)]
    assert outcomes == [Unauthenticated] * FREE_TRIES + [SlowDown]


def test_when_the_wait_is_over_many_at_once_get_one_try(site):
    site.fail(FREE_TRIES)
    site.clock.advance(1.0)
    outcomes: list[object] = []
    start = threading.Barrier(8)

    def guess(number: int) -> None:
        start.wait()
        outcomes.append(site.outcome(number, f"guess {number}"))

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == sorted(map(str, [Unauthenticated] + [SlowDown] * 7))


def test_a_guesser_is_forgotten_an_hour_later(site, database):
    site.fail(FREE_TRIES)
    site.clock.advance(3601.0)
    assert site.outcome(0, "wrong", address="10.0.0.9") is Unauthenticated
    with database.reading() as connection:
        rows = connection.exec_driver_sql("select who from failed_sign_ins").scalars().all()
    assert rows == ["10.0.0.9 app"]
