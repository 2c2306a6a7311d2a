"""While the catalogue is older than what storage knows of it, nothing goes that it would let go.

`serve` does not start over such a catalogue (app/going_on.py); where storage could not be asked at
the start, it is asked here until it answers.
"""

from collections.abc import Callable
from functools import partial

import structlog

from strongroom.control.basis.control import Control
from strongroom.control.oversight.audit_gaps import find_ahead

log = structlog.get_logger()


class Freeze:
    """Asks once, and again while the answer is no."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._may = control.witness is None  # then there are no anchors

    def over(self, work: Callable[[], object]) -> Callable[[], None]:
        """The work, as long as the catalogue is as new as its anchors. Raises StoreError."""
        return partial(self._act, work)

    def _act(self, work: Callable[[], object]) -> None:
        if not self._may:
            ahead = find_ahead(self._control)
            if ahead is not None:
                log.error("catalogue.set_back", anchored=ahead.sequence, next="strongroom rebuild")
                return
            self._may = True
        work()
