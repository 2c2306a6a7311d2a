"""What we need of DBOS that it does not offer in public: all of it is in this one file.

Read with DBOS 3.4: `_sys_db.recv` and `recv_consume`, `notifications_map`,
`get_pending_workflows`, `reenqueue_for_recovery`, `tables.workflow_status.recovery_attempts`,
`engine`, `db_retry`, `retriable_postgres_exception`, and `_dbos.queue_thread`, whose threads are
named `queue-worker-<queue>` and wait for the event that stops them between two looks.
"""

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, _dbos
from dbos._sys_db import db_retry
from dbos._utils import retriable_postgres_exception

from strongroom.model.errors import ControlUnavailable

_LOOK_SECONDS = 0.05
_GRACE_SECONDS = 5.0
_FIRST_LOOK_SECONDS = 0.01
_LAST_LOOK_SECONDS = 0.5


class Dropped(BaseException):
    """This process ends: the story stops where it stands and goes on at the next launch.

    Not an Exception, so that neither a story nor DBOS takes it for an outcome.
    """


def database_of(dbos: DBOS | DBOSClient) -> Any:  # noqa: ANN401
    """DBOS's own view of the database; of DBOS itself only after launch."""
    return dbos._sys_db  # noqa: SLF001


def outlast_outages(dbos: DBOS | DBOSClient) -> None:
    """Have every failure to connect count as an outage, which DBOS waits out.

    DBOS knows them by psycopg's words and misses some: a socket that is gone, for one. A story
    would end in a bug that is none.
    """

    def note(context: sa.engine.ExceptionContext) -> None:
        if context.connection is None and isinstance(
            context.sqlalchemy_exception, sa.exc.OperationalError
        ):
            context.is_disconnect = True

    sa.event.listen(database_of(dbos).engine, "handle_error", note)


def wake(dbos: DBOS, workflow_id: str) -> None:
    """Have a story that waits in this process look at once; others learn it within a second."""
    for _, (waiting, _, _), signal in database_of(dbos).notifications_map.snapshot():
        if waiting == workflow_id:
            signal.set()


class Bell:
    """Whoever puts something into the queue rings: at rest nobody needs to look so often.

    It rings just before the transaction that puts it there commits, and just before a story's end
    is written down, which frees its partition: so a few looks follow, each after twice the time.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._pause = math.inf  # until the next of them, and when that is
        self._due = math.inf
        self._waits = False

    @property
    def is_still(self) -> bool:
        """Whether who listens waits, and for the clock alone."""
        with self._turn:
            return self._waits and self._due == math.inf

    def ring(self) -> None:
        """Have the queue looked into soon, and some times more."""
        with self._turn:
            self._pause = _FIRST_LOOK_SECONDS
            self._due = min(self._due, time.monotonic() + self._pause)  # many rings put off none
            self._turn.notify_all()

    def wait(self, seconds: float, over: threading.Event) -> bool:
        """Until the next look is due -> whether it is `over`: that is noticed at a ring too."""
        until = time.monotonic() + seconds
        with self._turn:
            while not over.is_set():
                if (rest := min(until, self._due) - time.monotonic()) <= 0:
                    longer = 2 * self._pause
                    self._pause = longer if longer < _LAST_LOOK_SECONDS else math.inf
                    self._due = time.monotonic() + self._pause
                    break
                self._waits = True
                self._turn.wait(rest)
                self._waits = False
        return over.is_set()


class _Stop:
    """The event that DBOS's queue threads wait for, as far as they use it.

    Only who looks into `queue` hears the bell; the others have nothing of ours to find.
    """

    def __init__(self, over: threading.Event, bell: Bell, queue: str) -> None:
        self._over = over
        self._bell = bell
        self._listener = f"queue-worker-{queue}"

    def is_set(self) -> bool:
        return self._over.is_set()

    def wait(self, timeout: float) -> bool:
        if threading.current_thread().name != self._listener:
            return self._over.wait(timeout)
        return self._bell.wait(timeout, self._over)


@contextmanager
def listening_to(bell: Bell, queue: str) -> Iterator[None]:
    """What is launched within looks into `queue` when the bell rings, and by the clock."""
    names = vars(_dbos)
    looking = names["queue_thread"]
    names["queue_thread"] = lambda over, dbos: looking(_Stop(over, bell, queue), dbos)
    try:
        yield
    finally:
        names["queue_thread"] = looking


@contextmanager
def letting_go(dbos: DBOS, bell: Bell) -> Iterator[None]:
    """Within DBOS is ended: every story that waits, or begins to, is dropped.

    Without it a wait of an hour holds up the exit for an hour. Nothing is recorded, so the wait
    goes on at the next launch with the time that is left. What runs steps has five seconds in all.
    """
    database, over = database_of(dbos), threading.Event()

    def drop(*_: object) -> NoReturn:
        raise Dropped

    def wake_all() -> None:  # again and again: one may be on its way into a wait when we look
        while not over.wait(_LOOK_SECONDS):
            bell.ring()
            for _, _, signal in database.notifications_map.snapshot():
                signal.set()

    database.recv = database.recv_consume = drop
    thread = threading.Thread(target=wake_all, name="letting-go", daemon=True)
    thread.start()
    try:
        yield
        end = time.monotonic() + _GRACE_SECONDS
        for story in _threads_of_stories():
            story.join(max(0.0, end - time.monotonic()))
    finally:
        over.set()
        thread.join()


def _threads_of_stories() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("dbos-executor")]


def leave() -> None:
    """End this process, if a step still runs that nobody could wait for: it may hang for long.

    Python would wait. Broken off anywhere, a step is done once more at the next launch.
    """
    if any(story.is_alive() for story in _threads_of_stories()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def take_over(dbos: DBOS, dead_executor_id: str, version: str) -> int:
    """Put a dead process's stories back into their queue -> how many.

    Unlike `resume_workflow` it keeps the count of attempts, so that a story that kills whoever
    runs it is given up in the end, and of two that take over at once only one does.
    """
    database = database_of(dbos)
    found = database.get_pending_workflows(dead_executor_id, version)
    return sum(
        bool(database.reenqueue_for_recovery(each.workflow_id, [dead_executor_id], ""))
        for each in found
    )


def has_gone_on(dbos: DBOS, workflow_id: str) -> None:
    """A story that has done something new since its process died is no poison: count afresh.

    Without it, six restarts of a healthy service would end a restore that takes a day.
    """
    database = database_of(dbos)
    table = database.tables.workflow_status
    mine = table.c.workflow_uuid == workflow_id

    @db_retry(sys_db=database)  # the step is done: an outage must not make a failure of it
    def count_afresh() -> None:
        with database.engine.begin() as connection:
            query = sa.select(table.c.recovery_attempts).where(mine)
            attempts = connection.execute(query).scalar()
            if attempts and attempts > 1:
                connection.execute(sa.update(table).where(mine).values(recovery_attempts=1))

    count_afresh()


@contextmanager
def reachable() -> Iterator[None]:
    """ControlUnavailable while the engine's database is away: for whoever asks from outside."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        if not (isinstance(error, sa.exc.TimeoutError) or retriable_postgres_exception(error)):
            raise
        raise ControlUnavailable(
            "the durable engine's database cannot be reached for now",
            hint="see whether the catalogue's database is up, then try again",
            code="CatalogueUnavailable",
        ) from error
