"""A stream as parts: each is sent when it is full, so that memory holds one of them."""

from collections.abc import Callable

from strongroom.agent.files.targets import Bytes

_SMALLEST = 8 << 20  # bytes; S3 takes no smaller one but for the last
_DOUBLED_AFTER = 1000  # parts, three times: 10,000 of them then hold 480 GiB
_DOUBLINGS = 3


class PartsUpload:
    """`send(number, bytes)` is called with 0, 1, 2, ... ; the buffer is its own from then on."""

    def __init__(self, send: Callable[[int, bytearray], None]) -> None:
        self._send = send
        self._buffer = bytearray()
        self.sent = 0  # parts

    def write(self, data: Bytes) -> None:
        """The next bytes."""
        view = memoryview(data)
        while view:
            room = self._size() - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) == self._size():
                self._flush()

    def last(self) -> bytearray:
        """What was not sent: all of a small stream."""
        return self._buffer

    def end(self) -> None:
        """Send the last part, if anything is left in it."""
        if self._buffer:
            self._flush()

    def _flush(self) -> None:
        full, self._buffer = self._buffer, bytearray()
        self._send(self.sent, full)
        self.sent += 1

    def _size(self) -> int:
        return _SMALLEST << min(self.sent // _DOUBLED_AFTER, _DOUBLINGS)
