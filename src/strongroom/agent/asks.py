"""A call for work has a name: when its answer is lost, the next call asks for the same answer.

Otherwise the control plane would hold what it has given away until the lease runs out.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from strongroom.model.seams import Chance


class Asks:
    """The names of one agent's calls. Safe for threads: no two open calls share one."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._unanswered: list[str] = []
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[str]:
        """Within: the call. It is answered unless it raises."""
        with self._lock:
            ask = self._unanswered.pop() if self._unanswered else self._chance.bytes(8).hex()
        try:
            yield ask
        except BaseException:
            with self._lock:
                self._unanswered.append(ask)
            raise
