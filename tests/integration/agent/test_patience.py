"""A backup that met a server which is away goes on when it answers, and not for ever before."""

import threading

import pytest

from integration.servers import Server, start_server
from seams import FakeClock, SystemChance, SystemClock
from strongroom.agent.backup.patience import PATIENCE_SECONDS, until_it_answers
from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import Cancelled, SourceRefused, SourceUnreachable
from strongroom.model.work.operation import Lease, Progress
from strongroom.postgres.server.connect import connect

pytestmark = pytest.mark.postgres


class Held(HeldLease):
    """Tells when somebody waits."""

    def __init__(self) -> None:
        super().__init__(None, Lease(operation_id="a-backup", epoch=1), SystemClock(), 5.0)
        self.waits = threading.Event()

    def tell(self, progress: Progress) -> None:
        super().tell(progress)
        if progress.step.startswith("Waiting: "):
            self.waits.set()


class Leaping(FakeClock):
    """A third of what is waited goes by with each look at it."""

    def monotonic(self) -> float:
        self.advance(PATIENCE_SECONDS / 3)
        return super().monotonic()


@pytest.fixture(scope="module")
def server() -> Server:
    with start_server(15) as found:
        yield found


@pytest.fixture
def away(server: Server) -> Server:
    server.stop()
    yield server
    if not server.is_running():
        server.start()


def _look(held: HeldLease, server: Server, clock: SystemClock | FakeClock) -> None:
    conninfo = server.parsed()
    with until_it_answers(held, conninfo, clock, SystemChance()), connect(conninfo):
        pass


def test_a_server_that_starts_is_waited_for(away):
    held = Held()
    starting = threading.Thread(target=lambda: held.waits.wait(30) and away.start())
    starting.start()
    with pytest.raises(SourceUnreachable, match="nothing listens"):
        _look(held, away, SystemClock())
    starting.join()
    assert away.is_running()
    assert "nothing listens" in held.progress.step
    _look(held, away, SystemClock())


def test_a_server_that_stays_away_is_not_waited_for_without_end(away):
    with pytest.raises(SourceUnreachable):
        _look(Held(), away, Leaping())


def test_who_waits_can_be_stopped(away):
    held = Held()
    stopping = threading.Thread(
        target=lambda: held.waits.wait(30) and held.stop(Cancelled("somebody cancelled it"))
    )
    stopping.start()
    with pytest.raises(Cancelled):
        _look(held, away, SystemClock())
    stopping.join()


def test_a_server_that_says_no_is_not_waited_for(server):
    held = Held()
    with (
        pytest.raises(SourceRefused),
        until_it_answers(held, server.parsed(), SystemClock(), SystemChance()),
        connect(server.parsed(dbname="nowhere")),
    ):
        pass
    assert not held.waits.is_set()
