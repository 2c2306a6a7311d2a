"""What is only of use while it is fresh goes after thirty days.

Jobs, recovery points and the audit chain are never dropped here. No input, safe twice, by any
number of processes at once.
"""

from strongroom.catalog.resources import operations
from strongroom.catalog.work import agent_operations, agents, job_samples
from strongroom.control.basis.control import Control

KEEP_DAYS = 30


def forget_ended(control: Control) -> dict[str, int]:
    """Drop what ended thirty days ago and more; how many of each.

    Long-running operations answer their callers, and a request that is sent again, until then.
    What agents were asked goes when its job is over, and so does a story's history: the job's row
    says how it ended, and how fast it went is of no use any more. A token that enrolled an agent,
    or can enrol none any more, is of no use.
    """
    before = control.clock.now().subtract(hours=24 * KEEP_DAYS)
    with control.database.writing() as connection:
        dropped = {
            "operations": operations.forget(connection, before),
            "agent_operations": agent_operations.forget(connection, before),
            "job_samples": job_samples.forget(connection, before),
            "enrol_tokens": agents.forget_enrol_tokens(connection, before),
        }
    return {**dropped, "stories": control.jobs.forget(before)}
