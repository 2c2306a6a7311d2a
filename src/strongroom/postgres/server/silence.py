"""How long a server may say nothing before it is given up."""

import select
from collections.abc import Callable

from strongroom.model.errors import SourceStopped

STALL_SECONDS = 300.0
SLICE = 1000  # milliseconds
_FIRST_SLICE = 50


class Silence:
    """Waits for the bytes of one socket, and calls `watch` about once a second meanwhile."""

    def __init__(self, descriptor: int, watch: Callable[[], None]) -> None:
        self._watch = watch
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, silent: float, what: str, limit: float) -> float:
        """Until there is something to read or a slice of time is over -> seconds of silence.

        `silent`: as many as it was before. SourceStopped when they are `limit`. The first slice is
        short: bytes may wait inside the TLS layer, where poll sees nothing.
        """
        length = SLICE if silent else _FIRST_SLICE
        if self._poll.poll(length):
            return 0.0
        self._watch()
        silent += length / 1000
        if silent >= limit:
            raise SourceStopped(
                f"the server was silent for {limit:.0f} seconds while {what}",
                hint="See the server's log, and the network between agent and server.",
            )
        return silent
