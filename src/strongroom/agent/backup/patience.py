"""A server that is away for a moment: a backup that met that is begun again when it answers.

The control plane offers what may pass again at once, a bounded number of times (agents.py). A
restart takes longer than all of them did.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import structlog

from strongroom.agent.backoff import pause_before
from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import SourceError, SourceStopped, SourceUnreachable
from strongroom.model.seams import Chance, Clock
from strongroom.postgres.server.connect import Conninfo, connect

PATIENCE_SECONDS = 60.0  # of each attempt
_LONGEST_PAUSE = 5.0


@contextmanager
def until_it_answers(
    held: HeldLease, conninfo: Conninfo, clock: Clock, chance: Chance
) -> Iterator[None]:
    """Within: a failure for a server that is not there is raised once it is, or has been waited
    for. Raises what the lease is stopped for meanwhile.
    """
    try:
        yield
    except (SourceUnreachable, SourceStopped) as error:
        log = structlog.get_logger("strongroom.agent")
        log.info("the server is waited for", why=error.message)
        held.tell(msgspec.structs.replace(held.progress, step=f"Waiting: {error.message}"))
        _await(held, conninfo, clock, chance)
        raise


def _await(held: HeldLease, conninfo: Conninfo, clock: Clock, chance: Chance) -> None:
    given_up_at = clock.monotonic() + PATIENCE_SECONDS
    attempt = 0
    while clock.monotonic() < given_up_at:
        held.pause(pause_before(attempt, chance, longest=_LONGEST_PAUSE))
        attempt += 1
        try:
            with connect(conninfo):
                return
        except SourceUnreachable:
            continue
        except SourceError:
            return  # it answers
