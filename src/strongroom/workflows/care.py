"""The care of what lies in storage: it may take hours, so it has a thread of its own."""

from functools import partial

from strongroom.workflows.census import take_due
from strongroom.workflows.means import Means
from strongroom.workflows.ticking import Ticking

CENSUS_SECONDS = 60.0  # between looks for whose turn it is


class Care(Ticking):
    """Censuses of receipts."""

    def __init__(self, means: Means) -> None:
        super().__init__("care", means.control.clock)
        self.add("census", CENSUS_SECONDS, partial(_census, means))


def _census(means: Means) -> None:
    take_due(means)
