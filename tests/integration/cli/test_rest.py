"""The client against a real HTTP server that misbehaves as told."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from authority import Authority
from seams import FakeClock, SeededChance
from strongroom.cli.basis.connection import Connection
from strongroom.cli.basis.rest import TRIES, Rest
from strongroom.model.errors import (
    ControlUnavailable,
    NotFound,
    Precondition,
    StoreFull,
    Unauthenticated,
)

DONE = {"status": "Succeeded"}


@dataclass
class Script:
    """Answers in turn; the last one again and again. `seen`: method, path, request id."""

    answers: list[tuple[int, dict, dict]]
    token_status: int = 200
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def next(self) -> tuple[int, dict, dict]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script = self.server.script
        status, headers, body = script.token_status, {}, {"access_token": "t", "expires_in": 3600}
        if not self.path.endswith("/token"):
            path = self.path.partition("?")[0]
            script.seen.append((self.command, path, self.headers["x-ms-client-request-id"]))
            status, headers, body = script.next()
        if status == 0:
            self.close_connection = True
            return
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace("HOST", self.headers["Host"]))
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *words: object) -> None:
        del words


class Server(ThreadingHTTPServer):
    script: Script


@pytest.fixture
def rest(tmp_path) -> Iterator[tuple[Rest, Script]]:
    server = Server(("127.0.0.1", 0), Handler)
    server.script = Script([(200, {}, {})])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found = Connection(
        portal="",
        arm=f"http://127.0.0.1:{server.server_address[1]}",
        ca=str(Authority(tmp_path).ca_file),
        tenant="t",
        subscription="s",
        resource_group="g",
        location="local",
        client_id="c",
        client_secret="x",
        blob="",
        blob_account="",
        blob_key="",
        vault="v",
    )
    client = Rest(found, FakeClock(), SeededChance())
    try:
        yield client, server.script
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_put_is_followed_to_its_end_and_the_resource_read_again(rest):
    client, script = rest
    script.answers = [
        (201, {"Azure-AsyncOperation": "http://HOST/op?api-version=1"}, {"state": "early"}),
        (200, {"Retry-After": "1"}, {"status": "Inprogress"}),
        (200, {}, DONE),
        (200, {}, {"state": "late"}),
    ]
    assert client.put("/thing", {}) == {"state": "late"}
    assert [path for _, path, _ in script.seen] == ["/thing", "/op", "/op", "/thing"]


def test_a_post_gives_what_its_location_holds_at_the_end(rest):
    client, script = rest
    headers = {"Azure-AsyncOperation": "http://HOST/op", "Location": "http://HOST/result"}
    script.answers = [(202, headers, {}), (200, {}, DONE), (200, {}, {"jobId": "/jobs/1"})]
    assert client.post("/thing/act", {}) == {"jobId": "/jobs/1"}
    assert script.seen[-1][1] == "/result"


def test_an_operation_that_failed_raises_its_own_error_with_its_remedy(rest):
    client, script = rest
    info = {"recommendedAction": ["Grant it."], "innerError": {"code": "Precondition"}}
    error = {
        "code": "UserErrorMissingRequiredPermissions",
        "message": "a role is missing",
        "additionalInfo": [{"type": "UserFacingError", "info": info}],
    }
    script.answers = [
        (202, {"Azure-AsyncOperation": "http://HOST/op"}, {}),
        (200, {}, {"status": "Failed", "error": error}),
    ]
    with pytest.raises(Precondition, match="a role is missing") as raised:
        client.post("/thing/act", {})
    assert raised.value.hint == "Grant it."


def test_a_call_is_repeated_under_the_same_request_id_while_the_other_side_is_away(rest):
    client, script = rest
    script.answers = [(0, {}, {}), (503, {}, {}), (200, {}, {"value": 1})]
    assert client.post("/act", {}) == {"value": 1}
    assert len(script.seen) == 3
    assert len({request_id for _, _, request_id in script.seen}) == 1


def test_a_control_plane_that_stays_away_is_told_as_such(rest):
    client, script = rest
    script.answers = [(0, {}, {})]
    with pytest.raises(ControlUnavailable) as raised:
        client.get("/thing")
    assert "strongroom status" in raised.value.hint
    assert len(script.seen) == TRIES


def test_our_own_words_in_an_answer_are_kept(rest):
    client, script = rest
    told = {"kind": "StoreFull", "message": "the disk is full", "hint": "Add one."}
    script.answers = [(507, {}, {"error": {"code": "x"}, "strongroom": told})]
    with pytest.raises(StoreFull, match="the disk is full"):
        client.get("/thing")


def test_what_is_not_there_is_none_when_that_is_the_question(rest):
    client, script = rest
    script.answers = [(404, {}, {"error": {"code": "ResourceNotFound", "message": "none"}})]
    assert client.find("/thing") is None
    with pytest.raises(NotFound):
        client.get("/thing")


def test_every_page_of_a_list_is_read(rest):
    client, script = rest
    script.answers = [
        (200, {}, {"value": [1, 2], "nextLink": "/list?api-version=1&$skipToken=2"}),
        (200, {}, {"value": [3]}),
    ]
    assert client.list("/list") == [1, 2, 3]


def test_a_secret_that_is_refused_names_the_file_to_renew(rest):
    client, script = rest
    script.token_status = 401
    with pytest.raises(Unauthenticated) as raised:
        client.get("/thing")
    assert "connection.json" in raised.value.hint
