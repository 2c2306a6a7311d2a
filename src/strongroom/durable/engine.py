"""Durable stories over DBOS: what is enqueued runs to its end, whatever dies in between.

Steps run at least once, a story's outcome is exactly one. Tables lie in the catalogue's database,
so that a row and the story it starts are one transaction. The only room that knows DBOS.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, StepOptions
from dbos import error as dbos_error
from whenever import Instant

from strongroom.durable.serializer import JsonSerializer
from strongroom.model.errors import Retry, VaultError

T = TypeVar("T")

VERSION = "1"  # fixed: a new release replays the histories of the old ones
JOBS = "jobs"  # one story at a time for each partition: the backup instance
STORIES = "stories"
MOST_RECOVERIES = 5  # a story that kills its process is given up after so many
_STEP_TRIES = 5
_POLL_SECONDS = 0.25


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
    error: Exception | None = None


def _passes(error: BaseException) -> bool:
    return isinstance(error, VaultError) and error.retry is Retry.LATER


class Story:
    """Handed to a running story: steps that are remembered, waits that survive."""

    @property
    def id(self) -> str:
        """The workflow's id."""
        return str(DBOS.workflow_id)

    def step(self, name: str, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401
        """Run a step once, or once more after a crash; its JSON-able result is remembered.

        A VaultError that may pass is tried again, five times in about half a minute.
        """
        options = StepOptions(
            name=name,
            retries_allowed=True,
            max_attempts=_STEP_TRIES,
            interval_seconds=1.0,
            backoff_rate=2.0,
            should_retry=_passes,
        )
        try:
            return DBOS.run_step(options, function, *args)
        except dbos_error.DBOSMaxStepRetriesExceeded as exceeded:
            raise exceeded.errors[-1] from exceeded

    def wait(self, topic: str, seconds: float) -> Any | None:  # noqa: ANN401
        """The next message about `topic`, or None when none came in time."""
        return DBOS.recv(topic, timeout_seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Wait; a restart in between does not start the wait again."""
        DBOS.sleep(seconds)


class JobEngine:
    """One process's share in the durable stories of an installation."""

    def __init__(self, url: str, *, executor_id: str, workers: int = 8) -> None:
        """`url`: the catalogue's own SQLAlchemy URL. `executor_id`: the same after a restart."""
        self._url = url
        self._config = DBOSConfig(
            name="strongroom",
            system_database_url=url,
            application_version=VERSION,
            executor_id=executor_id,
            serializer=JsonSerializer(),
            log_level="WARNING",
            max_executor_threads=max(workers * 4, 16),
        )
        self._workers = workers
        self._client: DBOSClient | None = None
        if url.startswith("sqlite:///"):
            _write_ahead(url)
        DBOS(config=self._config)

    def register(self, name: str, story: Callable[..., Any]) -> None:
        """`story(story: Story, *args)` under a name that never changes. Before `launch`."""

        def run(*args: Any) -> Any:  # noqa: ANN401
            return story(Story(), *args)

        run.__qualname__ = run.__name__ = name
        DBOS.workflow(name=name, max_recovery_attempts=MOST_RECOVERIES)(run)

    def launch(self) -> None:
        """Go on with what this executor left, and take from the queues."""
        DBOS.launch()
        DBOS.register_queue(
            JOBS,
            partition_concurrency=1,
            worker_concurrency=self._workers,
            polling_interval_sec=_POLL_SECONDS,
        )
        DBOS.register_queue(
            STORIES, worker_concurrency=self._workers, polling_interval_sec=_POLL_SECONDS
        )
        self._client = DBOSClient(system_database_url=self._url, serializer=JsonSerializer())

    @property
    def client(self) -> DBOSClient:
        """The side that asks."""
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

        The same id twice is once.
        """
        options = EnqueueOptions(
            workflow_name=name,
            queue_name=JOBS if partition else STORIES,
            workflow_id=workflow_id,
            app_version=VERSION,
        )
        if partition:
            options["queue_partition_key"] = partition
        self.client.enqueue_in_transaction(connection, options, *args)

    def notify(self, workflow_id: str, topic: str, message: Any) -> None:  # noqa: ANN401
        """Wake a story that waits; harmless when it has ended."""
        try:
            self.client.send(workflow_id, message, topic)
        except dbos_error.DBOSNonExistentWorkflowError:
            return

    def status(self, workflow_id: str) -> WorkflowStatus | None:
        """What became of a story."""
        found = self.client.list_workflows(workflow_ids=[workflow_id])
        if not found:
            return None
        return WorkflowStatus(
            id=workflow_id,
            state=_STATES[str(found[0].status)],
            result=found[0].output,
            error=found[0].error,
        )

    def cancel(self, workflow_id: str) -> None:
        """Stop before its next step."""
        self.client.cancel_workflow(workflow_id)

    def take_over(self, dead_executor_ids: Sequence[str]) -> int:
        """Put the stories of dead processes back into their queues; finished steps are kept."""
        taken = 0
        for dead in dead_executor_ids:
            for found in self.client.list_workflows(
                status="PENDING", executor_id=dead, load_input=False, load_output=False
            ):
                self.client.resume_workflow(found.workflow_id, queue_name=found.queue_name)
                taken += 1
        return taken

    def forget(self, finished_before: Instant) -> int:
        """Drop the histories of stories that ended before then; the catalogue keeps its own."""
        ended = self.client.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=finished_before.format_iso(),
            load_input=False,
            load_output=False,
        )
        self.client.delete_workflows([found.workflow_id for found in ended])
        return len(ended)

    def close(self) -> None:
        """Stop taking work; what runs goes on at the next launch."""
        if self._client is not None:
            self._client.destroy()
            self._client = None
        DBOS.destroy(destroy_registry=True)


def _write_ahead(url: str) -> None:
    """SQLite remembers its journal mode in the file; DBOS leaves the slow default."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    engine.dispose()
