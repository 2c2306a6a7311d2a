"""Every line that a story logs, and its trace, name its job and its instance."""

from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from structlog.contextvars import bound_contextvars

from strongroom.catalog.work import jobs
from strongroom.durable.engine import Story
from strongroom.model.errors import VaultError
from strongroom.workflows.basis.means import Means


def bound(means: Means, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """`work(means, story, *args)` as the engine runs it; most are told the id of a job first."""

    def run(story: Story, *args: Any) -> Any:  # noqa: ANN401 - whatever the story gives
        ids = _ids(means, story, args)
        told = {f"strongroom.{key}": value for key, value in ids.items()}
        tracer = trace.get_tracer("strongroom")
        with bound_contextvars(**ids), tracer.start_as_current_span(name, attributes=told):
            return work(means, story, *args)

    return run


def _ids(means: Means, story: Story, args: tuple[Any, ...]) -> dict[str, str]:
    ids = {"workflow": story.id}
    if not args or not isinstance(args[0], str):
        return ids
    try:
        with means.control.database.reading() as connection:
            job = jobs.get(connection, args[0])
    except VaultError:  # it is no job, or the catalogue is away: the story itself waits for that
        return ids
    return ids | {"job": job.id, "instance": job.instance_id}
