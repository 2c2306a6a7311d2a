"""What a plan of a restore is judged by: seen by an agent, or kept in the catalogue."""

from dataclasses import dataclass

from strongroom.control.restore.plan_room import FileSystem, Sight
from strongroom.model.work.drill import Drill
from strongroom.model.work.operation import ServerFacts


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan is judged by, beside its point and what was asked.

    drilled: the last drill of the point, if there was one. target: the server that is loaded, as
    its agent last told of it; None when none is.
    """

    sight: Sight
    disks: list[FileSystem]
    drilled: Drill | None
    target: ServerFacts | None
