"""Each fault of the network does what its name says, to a plain HTTP server and its client."""

import http.client
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from net import FAULTS, SLOW_PIECES, Net, a_net, owner_of

BODY = bytes(range(256)) * 2000


class Counting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(body)  # type: ignore[attr-defined]
        self.send_response(201)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as found:
        found.received = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def net() -> Iterator[Net]:
    with a_net(1) as found:
        yield found


def put(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("PUT", "/", BODY)
        return connection.getresponse().status
    finally:
        connection.close()


def line(net: Net, server: ThreadingHTTPServer) -> int:
    return net.line(server.server_address[1], lambda _: "link")


def test_a_line_without_faults_is_a_line(net: Net, server: ThreadingHTTPServer) -> None:
    assert put(line(net, server)) == 201
    assert server.received == [BODY]
    assert net.plan.calls["link"] == 1


@pytest.mark.parametrize("fault", ["cut", "reset", "stall"])
def test_a_request_that_does_not_arrive_is_an_error_and_the_next_one_arrives(
    net: Net, server: ThreadingHTTPServer, fault: str
) -> None:
    port = line(net, server)
    net.plan.arm("link", fault)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        put(port)
    assert server.received == []
    assert net.plan.fired["link", fault] == 1
    assert put(port) == 201


def test_a_lost_answer_is_an_error_although_all_is_done(
    net: Net, server: ThreadingHTTPServer
) -> None:
    port = line(net, server)
    net.plan.arm("link", "lost")
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        put(port)
    assert server.received == [BODY]


def test_a_slow_line_brings_everything(net: Net, server: ThreadingHTTPServer) -> None:
    port = line(net, server)
    net.plan.arm("link", "slow")
    assert len(BODY) > SLOW_PIECES
    assert put(port) == 201
    assert server.received == [BODY]


def test_a_fault_waits_for_its_call(net: Net, server: ThreadingHTTPServer) -> None:
    port = line(net, server)
    net.plan.arm("link", "cut", after=2)
    assert (put(port), put(port)) == (201, 201)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        put(port)


def test_a_line_to_nobody_is_reset(net: Net) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as gone:
        target = gone.server_address[1]
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        put(net.line(target, lambda _: "link"))


def test_the_process_behind_a_connection_is_known(net: Net, server: ThreadingHTTPServer) -> None:
    seen: list[str] = []
    processes = {"pytest": os.getpid(), "init": 1}
    port = net.line(
        server.server_address[1], lambda port: seen.append(owner_of(port, processes)) or "link"
    )
    put(port)
    assert seen == ["pytest"]


def test_every_fault_has_been_tried() -> None:
    assert set(FAULTS) == {"cut", "reset", "stall", "slow", "lost"}
