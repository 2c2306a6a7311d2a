"""Cut a PostgreSQL connection from another thread, so that a blocked read ends at once."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from strongroom.agent.held_lease import HeldLease


class _Cutter:
    """A second descriptor of the connection's socket: closing the first cannot mislead us."""

    def __init__(self, descriptor: int) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = socket.socket(fileno=os.dup(descriptor))

    def cut(self) -> None:
        with self._lock, suppress(OSError):  # not connected any more: as good as cut
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


@contextmanager
def cut_when_stopped(held: HeldLease, *descriptors: int) -> Iterator[None]:
    """Within: the sockets (by descriptor) are cut as soon as the work must stop."""
    with ExitStack() as stack:
        for descriptor in descriptors:
            cutter = _Cutter(descriptor)
            stack.callback(cutter.close)
            stack.enter_context(held.when_stopped(cutter.cut))
        yield
