"""Who waits for an agent's work is told when some is put up, so that nobody has to look often."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from strongroom.model.ids import AgentId


class Bell:
    """One process's bell; work that another process puts up is found by looking. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[AgentId, list[Callable[[], None]]] = {}

    def ring(self, agent: AgentId) -> None:
        """There is work for this agent."""
        with self._lock:
            listeners = list(self._listeners.get(agent, ()))
        for listener in listeners:
            listener()

    @contextmanager
    def listening(self, agent: AgentId, listener: Callable[[], None]) -> Iterator[None]:
        """Within: `listener` is called, from whatever thread, at each ring. It must not block."""
        with self._lock:
            self._listeners.setdefault(agent, []).append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[agent].remove(listener)
                if not self._listeners[agent]:
                    del self._listeners[agent]
