"""Who waits for something is told when it is there, so that nobody has to look often.

An agent waits for work, a request for the end of what it began.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Bell:
    """One process's bell; what another process has done is found by looking. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    def ring(self, name: str) -> None:
        """What is waited for under this name is there: an agent's id, an operation's."""
        with self._lock:
            listeners = list(self._listeners.get(name, ()))
        for listener in listeners:
            listener()

    @contextmanager
    def listening(self, name: str, listener: Callable[[], None]) -> Iterator[None]:
        """Within: `listener` is called, from whatever thread, at each ring. It must not block."""
        with self._lock:
            self._listeners.setdefault(name, []).append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[name].remove(listener)
                if not self._listeners[name]:
                    del self._listeners[name]
