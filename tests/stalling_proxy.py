"""A wire to a server that goes dead after so many bytes: open, and silent."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class StallingProxy:
    """Forwards 127.0.0.1:port to a target; after `limit` bytes in both directions, nothing."""

    def __init__(self, target_port: int, limit: int) -> None:
        self._target = target_port
        self._left = limit
        self._lock = threading.Lock()
        self.stalled = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._forward, args=(source, sink))
                    self._threads.append(thread)
                    thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    self._left -= len(data)
                    if self._left < 0:
                        self.stalled.set()
                if not self.stalled.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()


@contextlib.contextmanager
def a_stalling_proxy(target_port: int, limit: int) -> Iterator[StallingProxy]:
    proxy = StallingProxy(target_port, limit)
    try:
        yield proxy
    finally:
        proxy.close()
