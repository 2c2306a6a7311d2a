"""The target that an order names, opened."""

from collections.abc import Iterator
from contextlib import contextmanager

from strongroom.agent.directory_target import DirectoryTarget
from strongroom.agent.file_targets import FileTarget
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore import Grounds
from strongroom.model.extract import ExtractOrder
from strongroom.model.seams import Chance


@contextmanager
def open_target(
    held: HeldLease, order: ExtractOrder, grounds: Grounds, chance: Chance
) -> Iterator[FileTarget]:
    """Raises TargetRefused for a directory outside of what this agent may restore into."""
    del held, chance
    yield DirectoryTarget(grounds.allow(order.target_directory), order.job_id)
