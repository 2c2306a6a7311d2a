"""Asked to stop while it starts, the control plane ends, and never says that it is ready."""

import asyncio
import os
import signal
import socket
import threading
from types import SimpleNamespace
from typing import Any

from strongroom.web.server import _serve


class Server:
    """Uvicorn's as it goes when it is asked to stop before it listens: started, and closed."""

    def __init__(self) -> None:
        self.started = self.should_exit = False
        self.server_state = SimpleNamespace(connections=set[Any]())

    async def _serve(self, sockets: list[socket.socket]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        while not self.should_exit:  # noqa: ASYNC110 - a flag, as uvicorn has it
            await asyncio.sleep(0)
        self.started = True
        sockets[0].close()


def test_who_is_asked_to_stop_while_it_starts_is_never_ready():
    control: Any = SimpleNamespace(
        stopping=threading.Event(), database=SimpleNamespace(side_by_side=4)
    )
    doors: list[Any] = [Server(), Server()]
    sockets = socket.socket(), socket.socket()
    ready: list[int] = []

    def on_ready() -> None:
        ready.append(sockets[0].getsockname()[1])

    asyncio.run(_serve(doors, sockets, on_ready, control))
    assert control.stopping.is_set()
    assert not ready
