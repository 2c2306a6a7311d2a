"""What the log says of those who are refused: so many lines a second, whoever asks how often."""

import threading

import structlog

from strongroom.model.seams import Clock

A_SECOND = 50
_log = structlog.get_logger()


class Refusals:
    """One for a process."""

    def __init__(self, clock: Clock, *, a_second: int = A_SECOND) -> None:
        self._clock = clock
        self._a_second = a_second
        self._lock = threading.Lock()
        self._since = clock.monotonic()
        self._lines = 0
        self._left_out = 0

    def tell(self, *, status: int, code: str, path: str, **facts: str) -> None:
        """One more. What came from outside is cut, and holds nothing that a terminal obeys."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._since >= 1.0:
                self._since, self._lines = now, 0
            self._lines += 1
            if self._lines > self._a_second:
                self._left_out += 1
                return
            left_out, self._left_out = self._left_out, 0
        plain = path[:300].encode("unicode_escape").decode()
        more = {"left_out": left_out} if left_out else {}
        _log.warning("api.refused", status=status, code=code, path=plain, **facts, **more)
