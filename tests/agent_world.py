"""A control plane as an agent sees it: the protocol in memory over a real socket.

It can be told to misbehave: `world.fault("heartbeat", Fault(...))` queues faults for a verb, and
each call of that verb uses up one.
"""

import contextlib
import hashlib
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from strongroom.model.errors import LeaseLost, NotFound, Unauthenticated, VaultError
from strongroom.model.wal import WalReply, WalReport
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.operation import (
    BackupOrder,
    CheckOrder,
    Completion,
    EnrolReply,
    EnrolRequest,
    Failure,
    Heartbeat,
    HeartbeatReply,
    KeysReply,
    KeysRequest,
    Lease,
    LeaseRequest,
    Progress,
    RestoreOrder,
    ServerFacts,
    StorageAccess,
)

AGENT_TOKEN = "agent-token-of-the-world"
ONE_TIME_TOKEN = "one-time-token-of-the-world"
STATUS = {Unauthenticated: 401, NotFound: 404, LeaseLost: 409}


@dataclass(frozen=True)
class Fault:
    """`status`: answer that instead. `hang`: first wait. `lost`: do it, then cut the line."""

    status: int = 0
    hang: float = 0.0
    lost: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Operation:
    id: str
    order: dict[str, Any]
    access: StorageAccess | None
    lease_seconds: float
    status: str = "offered"
    epoch: int = 0
    cancel: bool = False
    renewed: StorageAccess | None = None
    heartbeats: list[Progress] = field(default_factory=list)
    result: Completion | None = None
    failure: Failure | None = None
    keys_asked: list[bytes] = field(default_factory=list)
    heard: float = 0.0
    session: str = ""
    ask: str = ""

    def waits(self) -> bool:
        """Offered, or leased by somebody who has been silent for longer than the lease."""
        silent = time.monotonic() - self.heard
        lapsed = self.status == "leased" and silent > self.lease_seconds
        return self.status == "offered" or lapsed


class AgentWorld:
    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.calls: list[tuple[str, float]] = []
        self.servers: dict[str, ServerFacts] = {}
        self.lease_requests: list[LeaseRequest] = []
        self.enrolled: list[EnrolRequest] = []
        self.release_keys: Callable[[str, bytes], bytes] = lambda operation, key: b""
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.changed = threading.Condition()
        self.closing = False
        self.session = ""
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # as the control plane's own: 40 ms for each answer

            def do_POST(self) -> None:
                world.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address) -> None:
                pass  # the agent cut the line: that is its right

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def fault(self, verb: str, *faults: Fault) -> None:
        self._faults[verb].extend(faults)

    def clear_faults(self) -> None:
        self._faults.clear()

    def offer(
        self,
        order: BackupOrder | RestoreOrder | ExtractOrder | CheckOrder,
        *,
        access: StorageAccess | None = None,
        lease_seconds: float = 5.0,
    ) -> Operation:
        kind = type(order).__name__.removesuffix("Order").lower()
        operation = Operation(
            f"op-{len(self.operations) + 1}", {kind: order}, access, lease_seconds
        )
        with self.changed:
            self.operations[operation.id] = operation
            self.changed.notify_all()
        return operation

    def offer_again(self, operation: Operation) -> None:
        """The lease has ended: the next one to lease it gets the next epoch."""
        with self.changed:
            operation.status = "offered"
            operation.epoch += 1
            self.changed.notify_all()

    def await_that(self, holds: Callable[[], object], seconds: float = 30.0) -> None:
        with self.changed:
            if not self.changed.wait_for(holds, seconds):
                states = [(one.id, one.status, one.failure) for one in self.operations.values()]
                raise AssertionError(f"not within {seconds} s; operations: {states}")

    def await_status(self, operation: Operation, status: str, seconds: float = 30.0) -> None:
        self.await_that(lambda: operation.status == status, seconds)

    # -- the protocol

    def answer(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("content-length", "0")))
        parts = http.path.strip("/").split("/")
        verb = parts[-1]
        with self.changed:
            self.calls.append((verb, time.monotonic()))
            fault = self._faults[verb].popleft() if self._faults[verb] else Fault()
            self.changed.notify_all()
        if fault.hang:
            with self.changed:
                self.changed.wait_for(lambda: self.closing, fault.hang)
        if fault.status:
            return _send(http, fault.status, fault.body, fault.headers)
        try:
            if verb != "enrol":
                self._authenticate(http.headers.get("authorization", ""))
            reply = self._do(verb, parts, body)
        except VaultError as error:
            return _send(http, STATUS.get(type(error), 400), msgspec.json.encode(error.to_dict()))
        finally:
            with self.changed:
                self.changed.notify_all()
        if fault.lost:
            http.close_connection = True
            return http.connection.close()
        return _send(http, 204 if reply is None else 200, msgspec.json.encode(reply))

    def _do(self, verb: str, parts: list[str], body: bytes) -> msgspec.Struct | None:
        if verb == "enrol":
            request = msgspec.json.decode(body, type=EnrolRequest)
            return self._enrol(request)
        if verb == "lease":
            return self._lease(msgspec.json.decode(body, type=LeaseRequest))
        operation = self.operations.get(parts[-2])
        if operation is None:
            raise NotFound("no such operation")
        with self.changed:
            return getattr(self, f"_{verb}")(operation, body)

    def _enrol(self, request: EnrolRequest) -> EnrolReply:
        """The token is spent by the first agent, which is the same agent when it asks again."""
        spent_by = {one.agent_token_sha256 for one in self.enrolled}
        if request.token != ONE_TIME_TOKEN or spent_by - {request.agent_token_sha256}:
            raise Unauthenticated("not a valid one-time token")
        self.enrolled.append(request)
        return EnrolReply(agent_id="agent-1")

    def _authenticate(self, authorization: str) -> None:
        known = {one.agent_token_sha256 for one in self.enrolled} | {_sha256(AGENT_TOKEN)}
        if _sha256(authorization.removeprefix("Bearer ")) not in known:
            raise Unauthenticated("this agent is not known")

    def _lease(self, request: LeaseRequest) -> Lease | None:
        with self.changed:
            self.lease_requests.append(request)
            for facts in request.servers:
                self.servers[facts.name] = facts
            self._begin_session(request.session)
            self.changed.notify_all()
            until = time.monotonic() + request.wait_seconds
            while time.monotonic() < until and not (self.closing or self._next(request)):
                self.changed.wait(0.2)
            operation = self._next(request)
            if operation is None or self.closing:
                return None
            if operation.ask == request.ask and operation.status == "leased":
                return _lease_of(operation)
            operation.status = "leased"
            operation.session, operation.ask = request.session, request.ask
            operation.epoch += 1
            operation.heard = time.monotonic()
            return _lease_of(operation)

    def _begin_session(self, session: str) -> None:
        """What an earlier process holds is free, and its open calls are given nothing."""
        self.session = session
        for one in self.operations.values():
            if one.status == "leased" and one.session != session:
                one.status = "offered"

    def _next(self, request: LeaseRequest) -> Operation | None:
        if request.session != self.session:
            return None
        given = [one for one in self.operations.values() if one.status == "leased"]
        again = next((one for one in given if one.ask == request.ask != ""), None)
        return again or next((one for one in self.operations.values() if one.waits()), None)

    def _heartbeat(self, operation: Operation, body: bytes) -> HeartbeatReply:
        heartbeat = msgspec.json.decode(body, type=Heartbeat)
        self._leased(operation, heartbeat.epoch)
        operation.heartbeats.append(heartbeat.progress)
        return HeartbeatReply(cancel=operation.cancel, access=operation.renewed)

    def _keys(self, operation: Operation, body: bytes) -> KeysReply:
        request = msgspec.json.decode(body, type=KeysRequest)
        self._leased(operation, request.epoch)
        operation.keys_asked.append(request.session_public_key)
        return KeysReply(sealed=self.release_keys(operation.id, request.session_public_key))

    def _wal(self, operation: Operation, body: bytes) -> WalReply:
        self._leased(operation, msgspec.json.decode(body, type=WalReport).epoch)
        return WalReply()

    def _complete(self, operation: Operation, body: bytes) -> None:
        completion = msgspec.json.decode(body, type=Completion)
        if operation.status == "completed" and operation.epoch == completion.epoch:
            return
        self._leased(operation, completion.epoch)
        operation.result = completion
        operation.status = "completed"

    def _fail(self, operation: Operation, body: bytes) -> None:
        failure = msgspec.json.decode(body, type=Failure)
        if operation.status == "failed" and operation.epoch == failure.epoch:
            return
        self._leased(operation, failure.epoch)
        operation.failure = failure
        operation.status = "failed"

    def _leased(self, operation: Operation, epoch: int) -> None:
        if operation.status != "leased" or operation.epoch != epoch:
            raise LeaseLost("the lease has ended")
        operation.heard = time.monotonic()


@contextlib.contextmanager
def an_agent_world() -> Iterator[AgentWorld]:
    world = AgentWorld()
    try:
        yield world
    finally:
        world.close()


def _lease_of(operation: Operation) -> Lease:
    return Lease(
        operation_id=operation.id,
        epoch=operation.epoch,
        lease_seconds=operation.lease_seconds,
        access=operation.access,
        **operation.order,
    )


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _send(
    http: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    http.send_response(status)
    body = b"" if status == 204 else body
    for name, value in (headers or {}).items():
        http.send_header(name, value)
    if status != 204:
        http.send_header("content-length", str(len(body)))
    http.end_headers()
    http.wfile.write(body)
