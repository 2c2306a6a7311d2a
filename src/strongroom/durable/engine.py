"""Durable stories over DBOS: what is enqueued runs to its end, whatever dies in between.

Steps run at least once, a story's outcome is exactly one. Tables lie in the catalogue's database,
so that a row and the story it starts are one transaction. The only room that knows DBOS.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, StepOptions
from dbos import error as dbos_error
from whenever import Instant

from strongroom.durable import inside
from strongroom.durable.serializer import Bug, JsonSerializer, as_json
from strongroom.model.errors import ControlUnavailable, Failed, Retry, VaultError

T = TypeVar("T")

_NAME = "strongroom"
VERSION = "1"  # fixed: a new release replays the histories of the old ones
JOBS = "jobs"  # one story at a time for each partition: the backup instance
MOST_RECOVERIES = 5  # a story that kills its process is given up after so many
MOST_STORIES = 256  # under way in one process; nearly all of them wait for an agent
_SPARE_THREADS = 32  # for stories that another process has taken from this one
_STEP_TRIES = 5
_POLL_SECONDS = 1.0  # for what another process has put into the queue; our own rings a bell
_OUTAGE_PAUSE_SECONDS = 1.0
_FORGET_AT_ONCE = 500
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_SLEEP = "strongroom:sleep"  # nobody writes to it


class WorkflowState(StrEnum):
    """Where a story stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_STATES = {
    "ENQUEUED": WorkflowState.PENDING,
    "DELAYED": WorkflowState.PENDING,
    "PENDING": WorkflowState.RUNNING,
    "SUCCESS": WorkflowState.SUCCEEDED,
    "ERROR": WorkflowState.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": WorkflowState.FAILED,
    "CANCELLED": WorkflowState.CANCELLED,
}


class WorkflowStatus(msgspec.Struct, kw_only=True):
    """What became of a story."""

    id: str
    state: WorkflowState
    result: Any = None
    error: VaultError | None = None


def _passes(error: BaseException) -> bool:
    return isinstance(error, VaultError) and error.retry is Retry.LATER


class Story:
    """Handed to a running story: steps that are remembered, waits that survive.

    A story calls its steps and waits in the same order each time: after a crash it is run again
    from its first line, and what is remembered is answered without being done.
    """

    def __init__(self, dbos: DBOS, turns: threading.Semaphore, closing: threading.Event) -> None:
        self._dbos = dbos
        self._turns = turns
        self._closing = closing
        self._gone_on = False

    @property
    def id(self) -> str:
        """The workflow's id."""
        return str(DBOS.workflow_id)

    def step(self, name: str, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401
        """Run a step once, or once more after a crash; its JSON-able result is remembered.

        A VaultError that may pass is tried again, five times in about half a minute; then it is
        raised as the step raised it. ControlUnavailable is the catalogue's, in whose database the
        history lies: the step waits until it is back. A result comes back as JSON knows it: a
        tuple as a list.
        """
        options = StepOptions(
            name=name,
            retries_allowed=True,
            max_attempts=_STEP_TRIES,
            interval_seconds=0.0,  # the pause is ours: it ends when this process does
            should_retry=_passes,
        )
        tries = 0

        def once() -> T:
            nonlocal tries
            if tries and self._closing.wait(2.0 ** (tries - 1)):
                raise inside.Dropped
            tries += 1
            found = self._outlast(function, *args)
            self._note_life()
            return found

        try:
            return DBOS.run_step(options, once)
        except dbos_error.DBOSMaxStepRetriesExceeded as exceeded:
            raise exceeded.errors[-1] from exceeded

    def wait(self, topic: str, seconds: float) -> Any | None:  # noqa: ANN401
        """The next message about `topic`, or None when none came in time.

        Several messages are kept in their order, also those that came before the wait.
        """
        return DBOS.recv(topic, timeout_seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Wait; a restart in between does not start the wait again."""
        DBOS.recv(_SLEEP, timeout_seconds=seconds)

    def _outlast(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401
        while True:
            try:
                with self._turns:
                    return as_json(function(*args))
            except ControlUnavailable:
                if self._closing.wait(_OUTAGE_PAUSE_SECONDS):
                    raise inside.Dropped from None

    def _note_life(self) -> None:
        if not self._gone_on:
            inside.has_gone_on(self._dbos, self.id)
            self._gone_on = True


class JobEngine:
    """One process's share in the durable stories of an installation."""

    def __init__(
        self, url: str, *, executor_id: str, workers: int = 8, listen_seconds: float = 1.0
    ) -> None:
        """`url`: the catalogue's own SQLAlchemy URL. `executor_id`: the same after a restart.

        `workers` bounds the steps that run at once; stories that wait are bounded by MOST_STORIES.
        `listen_seconds`: so often a story that waits looks, on SQLite, for what another process
        told it; and so long `close` may take. One engine in a process at a time.
        """
        self._url = url
        self._turns = threading.BoundedSemaphore(workers)
        self._closing = threading.Event()
        self._bell = inside.Bell()
        self._client: DBOSClient | None = None
        if url.startswith("sqlite:///"):
            _write_ahead(url)
        self._dbos = DBOS(
            config=DBOSConfig(
                name=_NAME,
                system_database_url=url,
                application_version=VERSION,
                executor_id=executor_id,
                serializer=JsonSerializer(),
                log_level="WARNING",
                max_executor_threads=MOST_STORIES + _SPARE_THREADS,
                notification_listener_polling_interval_sec=listen_seconds,
            )
        )

    def register(self, name: str, story: Callable[..., Any]) -> None:
        """`story(story: Story, *args)` under a name that never changes. Before `launch`."""

        def run(*args: Any) -> Any:  # noqa: ANN401
            try:
                return story(Story(self._dbos, self._turns, self._closing), *args)
            finally:
                self._bell.ring()

        run.__qualname__ = run.__name__ = name
        DBOS.workflow(name=name, max_recovery_attempts=MOST_RECOVERIES)(run)

    def launch(self) -> None:
        """Go on with what this executor left, and take from the queue."""
        # The queue is there before the engine looks for one: else its first look is a second late.
        DBOS.migrate(self._url)
        self._client = DBOSClient(
            system_database_url=self._url,
            serializer=JsonSerializer(),
            retry_connection_errors=False,  # who asks is told at once; only stories wait
        )
        inside.outlast_outages(self._client)
        self._client.register_queue(
            JOBS,
            partition_concurrency=1,
            worker_concurrency=MOST_STORIES,
            polling_interval_sec=_POLL_SECONDS,
            application_name=_NAME,
        )
        self._bell.ring()
        with inside.listening_to(self._bell, JOBS):
            DBOS.launch()
        inside.outlast_outages(self._dbos)

    @property
    def _asking(self) -> DBOSClient:
        if self._client is None:
            raise RuntimeError("launch() comes first")
        return self._client

    def enqueue(
        self,
        connection: sa.Connection,
        name: str,
        workflow_id: str,
        *args: Any,  # noqa: ANN401
        partition: str = "",
    ) -> None:
        """In the caller's transaction: it commits and the story runs, or neither happens.

        Stories of one `partition` run one after the other, in the order of their enqueueing; one
        without a partition waits for nobody. The same id twice is once.
        """
        options = EnqueueOptions(
            workflow_name=name,
            queue_name=JOBS,
            workflow_id=workflow_id,
            app_version=VERSION,
            queue_partition_key=partition or f"alone:{workflow_id}",
        )
        self._asking.enqueue_in_transaction(connection, options, *args)
        sa.event.listen(connection, "commit", lambda _: self._bell.ring(), once=True)

    def notify(self, workflow_id: str, topic: str, message: Any) -> None:  # noqa: ANN401
        """Wake a story that waits; harmless when it has ended. Not inside a transaction."""
        try:
            with inside.reachable():
                self._asking.send(workflow_id, message, topic)
        except dbos_error.DBOSNonExistentWorkflowError:
            return
        inside.wake(self._dbos, workflow_id)

    def status(self, workflow_id: str) -> WorkflowStatus | None:
        """What became of a story; None when there never was one, or it is forgotten."""
        return self.statuses([workflow_id]).get(workflow_id)

    def statuses(self, workflow_ids: Collection[str]) -> dict[str, WorkflowStatus]:
        """What became of each, by id; one that is not known here is left out."""
        if not workflow_ids:
            return {}
        with inside.reachable():
            found = self._asking.list_workflows(workflow_ids=list(workflow_ids), load_input=False)
        return {
            told.workflow_id: WorkflowStatus(
                id=told.workflow_id,
                state=_STATES[str(told.status)],
                result=told.output,
                error=_error_of(told.workflow_id, str(told.status), told.error),
            )
            for told in found
        }

    def cancel(self, workflow_id: str) -> None:
        """Stop before its next step; a wait ends at once. An ended story stays as it ended."""
        with inside.reachable():
            self._asking.cancel_workflow(workflow_id)
        inside.wake(self._dbos, workflow_id)

    def take_over(self, dead_executor_ids: Sequence[str]) -> int:
        """Put the stories of dead processes back into their queue; finished steps are kept."""
        taken = sum(inside.take_over(self._dbos, dead, VERSION) for dead in dead_executor_ids)
        self._bell.ring()
        return taken

    def forget(self, finished_before: Instant) -> int:
        """Drop the histories of stories that ended before then; the catalogue keeps its own."""
        forgotten = 0
        while True:
            with inside.reachable():
                ended = self._asking.list_workflows(
                    status=_ENDED,
                    completed_before=finished_before.format_iso(),
                    limit=_FORGET_AT_ONCE,
                    load_input=False,
                    load_output=False,
                )
                self._asking.delete_workflows([found.workflow_id for found in ended])
            forgotten += len(ended)
            if len(ended) < _FORGET_AT_ONCE:
                return forgotten

    def close(self) -> None:
        """Stop taking work; what waits goes on at the next launch, what runs a step ends it."""
        self._closing.set()
        launched, self._client = self._client, None
        if launched is None:
            DBOS.destroy(destroy_registry=True)
            return
        with inside.letting_go(self._dbos, self._bell):
            launched.destroy()
            DBOS.destroy(destroy_registry=True)


def leave() -> None:
    """The last thing a process does after `close`: it waits for no step that hangs."""
    inside.leave()


def _error_of(workflow_id: str, status: str, error: Exception | None) -> VaultError | None:
    if status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        return Failed(
            f"{workflow_id} was given up: its process ended {MOST_RECOVERIES + 1} times in it",
            hint="see the log of `serve` for what ended it; then trigger the job again",
        )
    if error is None or isinstance(error, VaultError):
        return error
    return (error if isinstance(error, Bug) else Bug(str(error))).as_failed()


def _write_ahead(url: str) -> None:
    """SQLite remembers its journal mode in the file; DBOS leaves the slow default."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    engine.dispose()
