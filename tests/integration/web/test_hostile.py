"""F2, S6, S7 at the API and at the agents' door: refused or limited, logged, nothing leaked."""

import base64
import itertools
import re
import socket
import ssl
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from arm_routes import api_routes
from arm_story import GROUP_ID, INSTANCE_ID, Story, assignment_id
from arm_world import GROUP, SECRET, SUBSCRIPTION, VERSION, ArmWorld, server_id, vault_id
from strongroom.control.work.agents import new_enrol_token
from strongroom.web.api.door import PUBLIC

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BODIES = {
    "deep": DEEP,
    "a list": b"[]",
    "bad UTF-8": b'{"properties": "\xff\xfe"}',
    "half a surrogate": b'{"properties": {"a": "\\ud800"}}',
    "a NUL": b'{"properties": {"name": "\\u0000"}}',
    "wrong kinds": b'{"properties": [1], "location": {}, "tags": [[]], "identity": 7}',
    "huge numbers": b'{"properties": {"retryAfter": 1e308, "n": ' + b"9" * 5000 + b"}}",
    "not finite": b'{"properties": 1e999}',
}
NAMES = {
    "dots": "..%2f..%5c..%252fetc%2fpasswd",
    "a quote": "x'%20or%201=1--",
    "markup": "%3Cscript%3E%7B%7B7*7%7D%7D%e2%80%ae",
    "long": "a" * 4096,
    "bad UTF-8": "%c3%28",
    "a new line": "a%0d%0aSet-Cookie:%20x=1",
    "a NUL": "a%00b",
}
ODD = re.compile(r"Traceback|sqlalchemy|sqlite|psycopg|File \"|/src/|site-packages")
LEAKS = (SECRET, "PRIVATE KEY")


@pytest.fixture(scope="module")
def http(world: ArmWorld, story: Story) -> Iterator[httpx.Client]:
    """An owner: whatever a role would keep out is let in."""
    with world.http() as found:
        yield found


def filled(path: str, name: str) -> str:
    """With `name` where a thing is named, and what is there where its home is."""
    path = path.replace("{scope:path}", f"subscriptions/{SUBSCRIPTION}")
    for place, value in (("subscription_id", SUBSCRIPTION), ("group", GROUP), ("vault", "v1")):
        path = path.replace("{" + place + "}", value)
    return re.sub(r"\{[a-z_]+(:path)?\}", name, path)


def refused_well(answer: httpx.Response) -> None:
    """It was understood, or refused in ARM's form, with nothing of ours in it."""
    told = (answer.request.method, answer.request.url.path[:200], answer.status_code)
    assert answer.status_code < 500, (told, answer.text[:500])
    assert not ODD.search(answer.text), (told, answer.text[:500])
    assert not any(leak in answer.text for leak in LEAKS), told
    assert "set-cookie" not in answer.headers, told
    if answer.status_code >= 400 and answer.content:
        assert answer.headers["content-type"] == "application/json", told
        assert answer.json()["error"]["code"], told


@pytest.fixture
def no_bug() -> Iterator[list[Any]]:
    with capture_logs() as logs:
        yield logs
    bugs = [log for log in logs if log["event"] in {"api.bug", "api.failed"}]
    assert bugs == []
    assert not any(leak in repr(logs) for leak in LEAKS)


@pytest.mark.parametrize("kind", BODIES)
def test_no_route_breaks_on_a_body(http: httpx.Client, no_bug: list[Any], kind: str) -> None:
    for method, path, _ in api_routes():
        if method in {"PUT", "POST", "PATCH"}:
            url = filled(path, "odd")
            answer = http.request(method, url, params=VERSION, content=BODIES[kind])
            refused_well(answer)


@pytest.mark.parametrize("kind", NAMES)
def test_no_route_breaks_on_a_name(http: httpx.Client, no_bug: list[Any], kind: str) -> None:
    for method, path, _ in api_routes():
        if "{" in path:
            url = f"{filled(path, NAMES[kind])}?api-version=1"
            refused_well(http.request(method, url, json={} if method != "GET" else None))


def test_no_list_breaks_on_a_page_that_nobody_gave(http: httpx.Client, no_bug: list[Any]) -> None:
    odd = ("x" * 10_000, "-1", "' or 1=1\0ü☃", "eyJhIjoxfQ==", "9" * 400)
    for (method, path, _), value in itertools.product(api_routes(), odd):
        if method == "GET":
            more = dict.fromkeys(("$skipToken", "$filter", "$top"), value)
            refused_well(http.get(filled(path, "odd"), params=VERSION | more))


def test_ten_megabytes_are_refused_by_every_route(http: httpx.Client, no_bug: list[Any]) -> None:
    body = b" " * (10 << 20)
    routes = [r for r in api_routes() if r[0] in {"PUT", "PATCH"} and "backupVaults" in r[1]]
    for method, path, _ in routes[:6]:
        answer = http.request(method, filled(path, "odd"), params=VERSION, content=body)
        assert answer.status_code == 413
    assert {log["status"] for log in no_bug if log["event"] == "api.refused"} == {413}


def test_whoever_hangs_up_amid_a_body_is_a_line_of_the_log_and_no_bug(
    world: ArmWorld, no_bug: list[Any]
) -> None:
    place = urlsplit(world.url)
    secure = ssl.create_default_context(cafile=world.ca)
    head = f"PUT {vault_id()}?api-version=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    with (
        socket.create_connection((place.hostname, place.port)) as plain,
        secure.wrap_socket(plain, server_hostname=place.hostname) as connection,
    ):
        connection.sendall(f"{head}Authorization: Bearer {world.token()}\r\n\r\n{{".encode())
    until = time.monotonic() + 30
    while "ClientDisconnected" not in repr(no_bug):
        assert time.monotonic() < until, no_bug
        time.sleep(0.01)


@pytest.mark.parametrize("sign", ["%2f", "%2F", "%5c", "%5C"])
def test_a_slash_that_a_proxy_has_not_seen_is_none(http: httpx.Client, sign: str) -> None:
    lists = f"{vault_id()}/backupJobs"
    assert http.get(lists, params=VERSION).status_code == 200
    for path in (f"{vault_id()}{sign}backupJobs", f"{vault_id()}{sign}", lists.replace("/", sign)):
        answer = http.get(f"/{path.lstrip('/')}?api-version=1")
        refused_well(answer)
        assert answer.status_code in {400, 404}, path
    assert http.get(f"{vault_id()}{sign}backupJobs?api-version=1").status_code == 400


def test_a_path_goes_nowhere_but_where_it_says(http: httpx.Client) -> None:
    home, _, name = vault_id().rpartition("/")
    for path, status in {
        f"{vault_id()}/": 200,
        f"{vault_id()}//": 200,
        vault_id().replace("/providers", "//providers"): 200,
        vault_id().replace("backupVaults", "%62ackupVaults"): 200,
        f"{home}/x/%2e%2e/{name}": 404,
        f"{vault_id()}/%2e": 404,
        f"{vault_id()};x=1": 404,
        f"{vault_id()}%20": 404,
        f"{vault_id()}%c0%af": 404,
        f"{vault_id()}%EF%BC%8F": 404,  # a slash, but wide
        home.replace("/", "%2525252f"): 404,
    }.items():
        answer = http.get(f"{path}?api-version=1")
        assert answer.status_code == status, (path, answer.text)
        if status == 200:
            assert answer.json()["id"] == vault_id()


def test_a_head_without_end_is_refused(http: httpx.Client) -> None:
    answer = http.get(vault_id(), params=VERSION, headers={"X-Long": "x" * 70_000})
    assert answer.status_code == 431
    assert answer.json()["error"]["code"] == "RequestHeaderFieldsTooLarge"


def test_no_route_but_the_public_ones_opens_without_a_token(world: ArmWorld) -> None:
    with world.http("e30.e30.e30") as client, capture_logs() as logs:
        for method, path, action in api_routes():
            if action == PUBLIC:
                continue
            url = filled(path, "odd")
            answer = client.request(method, url, params=VERSION)
            assert answer.status_code == 401, (method, path, answer.text)
            refused_well(answer)
    told = [log for log in logs if log["event"] == "api.refused"]
    assert told
    assert len(told) <= 50 * 60  # of so many a second the log tells, and how many it left out
    assert "e30.e30" not in repr(logs)


# What is there and what is not look alike to whoever may see neither


THERE = {
    vault_id(): vault_id("nothing"),
    GROUP_ID: f"{GROUP_ID}-nothing",
    INSTANCE_ID: INSTANCE_ID.replace("pg1-inst", "nothing"),
    server_id(): server_id("nothing"),
    f"{vault_id()}/backupPolicies/pgflex": f"{vault_id()}/backupPolicies/nothing",
    f"{vault_id()}/backupInstances": f"{vault_id('nothing')}/backupInstances",
    f"{vault_id()}/backupJobs": f"{vault_id('nothing')}/backupJobs",
    assignment_id(server_id(), "00000000-0000-0000-0000-000000000000"): assignment_id(
        server_id(), "00000000-0000-0000-0000-000000000099"
    ),
}


def test_a_thousand_names_tell_a_stranger_nothing(world: ArmWorld, story: Story) -> None:
    _, app, secret = world.principal("stranger", [])
    with world.http(world.token(app, secret)) as client:
        for there, nowhere in THERE.items():
            for method in ("GET", "PUT", "DELETE", "PATCH"):
                pair = [
                    client.request(method, url, params=VERSION, json={"properties": {}})
                    for url in (there, nowhere)
                ]
                assert pair[0].status_code == pair[1].status_code, (method, there)
                (name,) = set(there.split("/")) - set(nowhere.split("/"))
                (other,) = set(nowhere.split("/")) - set(there.split("/"))
                texts = [
                    answer.text.replace(f"/{each}", "/X")
                    for answer, each in zip(pair, (name, other), strict=True)
                ]
                assert texts[0] == texts[1], (method, there)
        seen = {client.get(vault_id(f"v{n}"), params=VERSION).status_code for n in range(1000)}
    assert seen == {404}


# The agents' door


AGENT_ROUTES = (
    "lease",
    *(f"operations/o-1/{w}" for w in ("heartbeat", "keys", "complete", "fail")),
)


@pytest.fixture(scope="module")
def agent(world: ArmWorld) -> Iterator[httpx.Client]:
    token = new_enrol_token(world.control)
    told = {"token": token, "name": "hostile", "version": "1"}
    digests = [base64.b64encode(sha256(made).digest()).decode() for made in (b"mine", b"thief's")]
    with world.http("mine") as found:
        asked = {**told, "agentTokenSha256": digests[0]}
        assert found.post("/agents/enrol", json=asked).status_code == 200
        again = {**told, "agentTokenSha256": digests[1]}  # a token that was used
        assert found.post("/agents/enrol", json=again).status_code == 401
        yield found


@pytest.mark.parametrize("kind", BODIES)
def test_the_agents_door_does_not_break_on_a_body(
    agent: httpx.Client, no_bug: list[Any], kind: str
) -> None:
    for route in ("enrol", *AGENT_ROUTES):
        refused_well(agent.post(f"/agents/{route}", content=BODIES[kind]))


def test_the_agents_door_has_a_size_and_asks_for_a_token(
    world: ArmWorld, agent: httpx.Client, no_bug: list[Any]
) -> None:
    assert agent.post("/agents/lease", content=b" " * (17 << 20)).status_code == 413
    with world.http("nobody") as client:
        assert {client.post(f"/agents/{r}", json={}).status_code for r in AGENT_ROUTES} == {401}
        told = {"name": "n", "version": "1", "agentTokenSha256": "AA=="}
        tries = [
            client.post("/agents/enrol", json={**told, "token": token})
            for token in ("", "x" * 100_000, "' or 1=1", "\x1b[2J")
        ]
    assert {answer.status_code for answer in tries} <= {400, 401, 403, 404}
