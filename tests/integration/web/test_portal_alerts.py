"""Alerts: one for a cause, seen by somebody, over by itself, and told outside at least once."""

import hashlib
import hmac
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from arm_story import Story
from arm_world import ArmWorld
from seams import FakeClock
from strongroom.catalog.tables.tables import agents, instances, servers
from strongroom.control.overview import alerts
from strongroom.model.errors import ControlUnavailable, Forbidden, Invalid, NotFound
from strongroom.model.identities.access import BACKUP_READER, Caller
from strongroom.workflows.care.alerting import FILE, Teller

SECRET = "shared with the receiver"


class Hook(BaseHTTPRequestHandler):
    """Takes calls, once it is told to."""

    status: ClassVar[int] = 200
    taken: ClassVar[list[tuple[dict[str, Any], str]]] = []
    asked: ClassVar[threading.Event] = threading.Event()
    may_answer: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.status == 200:
            made = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            assert self.headers["X-Strongroom-Signature"] == f"sha256={made}"
            self.taken.append((json.loads(body), ""))
        self.asked.set()
        assert self.may_answer.wait(60)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *told: Any) -> None:
        """Says nothing."""


class Post(socketserver.StreamRequestHandler):
    """As much of an SMTP server (RFC 5321) as takes a letter."""

    letters: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.letters.append(b"".join(lines).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Path]:
    servers_ = [HTTPServer(("127.0.0.1", 0), Hook), socketserver.TCPServer(("127.0.0.1", 0), Post)]
    threads = [threading.Thread(target=each.serve_forever) for each in servers_]
    for thread in threads:
        thread.start()
    hook, post = (each.server_address[1] for each in servers_)
    mail = {"host": "127.0.0.1", "port": post, "security": "none"}
    mail |= {"sender": "vault@example.com", "to": ["dba@example.com"]}
    told = {"webhook": {"url": f"http://127.0.0.1:{hook}/", "secret": SECRET}, "mail": mail}
    write(tmp_path / FILE, told)
    Hook.may_answer.set()
    yield tmp_path / FILE
    Hook.status = 200
    Hook.taken.clear()
    Post.letters.clear()
    for server, thread in zip(servers_, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def write(file: Path, told: dict[str, Any]) -> None:
    file.touch(0o600)
    file.write_text(json.dumps(told))


def age(world: ArmWorld, hours: int) -> None:
    """The one instance was made so long ago, and has had no backup since."""
    at = world.clock.now().subtract(hours=hours)
    with world.database.writing() as connection:
        connection.execute(instances.update().values(created_at=at))


def hear(world: ArmWorld, minutes_ago: int) -> None:
    at = world.clock.now().subtract(minutes=minutes_ago)
    with world.database.writing() as connection:
        connection.execute(agents.update().values(seen_at=at))
        connection.execute(servers.update().values(seen_at=at))


def test_an_alert_begins_once_is_seen_to_and_ends_with_its_cause(
    world: ArmWorld, story: Story, receivers: Path
) -> None:
    owner = Caller(principal_id=world.owner_id)
    assert alerts.settle_alerts(world.control) == (0, 0)

    age(world, 24 * 30)
    assert alerts.settle_alerts(world.control) == (1, 0)
    assert alerts.settle_alerts(world.control) == (0, 0)
    [found] = alerts.list_alerts(world.control, owner)
    assert found.title == "pg1-inst is not protected"

    # The agent that is lost is the cause of it: one alert, not two.
    hear(world, 60)
    assert alerts.settle_alerts(world.control) == (1, 1)
    there = [a for a in alerts.list_alerts(world.control, owner) if a.ended_at is None]
    assert [a.title for a in there] == ["agent agent-1 is lost"]

    alerts.acknowledge(world.control, owner, there[0].id)
    reader, _, _ = world.principal("looks", [(BACKUP_READER.id, "/")])
    with pytest.raises(Forbidden):
        alerts.acknowledge(world.control, Caller(principal_id=reader), there[0].id)
    mine = [a for a in alerts.list_alerts(world.control, owner) if a.ended_at is None]
    assert mine[0].acknowledged_by == world.owner_id

    hear(world, 0)
    age(world, 0)
    assert alerts.settle_alerts(world.control) == (0, 1)
    with pytest.raises(NotFound):
        alerts.acknowledge(world.control, owner, there[0].id)

    # Who was away is told again; who was there is told once.
    teller = Teller(world.control, receivers)
    Hook.status = 503
    with pytest.raises(ControlUnavailable, match=r"webhook \(HTTPStatusError\)$"):
        teller.tell()
    assert len(Post.letters) == 2
    Hook.status = 200
    teller.tell()
    teller.tell()
    states = [(told["title"], told["state"]) for told, _ in Hook.taken]
    assert states == [("pg1-inst is not protected", "ended"), ("agent agent-1 is lost", "ended")]
    assert len(Post.letters) == 2
    assert "Subject: [strongroom] over: agent agent-1 is lost" in Post.letters[1]
    assert "one instance depends on it." in Post.letters[1]
    assert re.search(r"\nSince \d{4}-\d\d-\d\d \d\d:\d\d UTC\r?\nOver \d{4}-", Post.letters[1])


def test_of_two_processes_one_tells_an_alert_and_the_other_when_that_one_dies(
    world: ArmWorld, story: Story, receivers: Path
) -> None:
    hear(world, 60)
    alerts.settle_alerts(world.control)
    clock = FakeClock(world.clock.now().format_iso())
    first, second = (Teller(replace(world.control, clock=clock), receivers) for _ in range(2))

    # While one is at it, the other has nothing to tell.
    Hook.asked.clear()
    Hook.may_answer.clear()
    thread = threading.Thread(target=first.tell)
    thread.start()
    assert Hook.asked.wait(60)
    second.tell()
    Hook.may_answer.set()
    thread.join()
    second.tell()
    assert len(Hook.taken) == len(Post.letters) == 1
    assert not alerts.untold(world.control, 10)

    # One that has died in between leaves it to the other, after a while.
    hear(world, 0)
    alerts.settle_alerts(world.control)
    [over] = alerts.untold(world.control, 10)
    control = replace(world.control, clock=clock)
    assert alerts.claim_telling(control, f"{over.id} ended", ["mail"]) == ["mail"]
    second.tell()
    assert (len(Hook.taken), len(Post.letters)) == (2, 1)
    clock.advance(alerts.TELLING_SECONDS + 1)
    first.tell()
    second.tell()
    assert len(Hook.taken) == len(Post.letters) == 2
    assert not alerts.untold(world.control, 10)


def test_the_digest_comes_once_a_day_at_its_hour_and_again_until_it_was_told(
    world: ArmWorld, story: Story, receivers: Path
) -> None:
    told = json.loads(receivers.read_text()) | {"digest": {"hour": 7, "zone": "Europe/Berlin"}}
    write(receivers, told)
    age(world, 24 * 30)
    clock = FakeClock("2026-03-01T05:59:00Z")  # 06:59 in Berlin: yesterday's is still to come
    teller = Teller(replace(world.control, clock=clock), receivers)
    Hook.status = 503
    with pytest.raises(ControlUnavailable):
        teller.tell_digest()
    Hook.status = 200
    for _ in range(3):
        teller.tell_digest()
    assert len(Hook.taken) == len(Post.letters) == 1
    clock.advance(120)
    teller.tell_digest()
    teller.tell_digest()
    assert len(Hook.taken) == len(Post.letters) == 2
    (digest, _) = Hook.taken[1]
    assert (digest["kind"], digest["instances"]) == ("digest", 1)
    assert "Subject: [strongroom] " in Post.letters[1]
    for word in ("Protected", "Failed in the last day", "Needs somebody", "Comes in the next day"):
        assert word in Post.letters[1]
    write(receivers, told | {"digest": {"hour": 7, "zone": "Mars/Olympus"}})
    with pytest.raises(Invalid, match="Mars/Olympus"):
        teller.tell_digest()


class Gotify(BaseHTTPRequestHandler):
    """Any service that Apprise knows, here: JSON to an address with a secret in it."""

    taken: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    status: ClassVar[int] = 500

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.path, json.loads(body)))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *told: Any) -> None:
        """Says nothing."""


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # what its plugins import
def test_apprise_tells_the_rest_and_its_address_is_in_no_log(
    world: ArmWorld, story: Story, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    secret = "hunter2hunter2"
    with HTTPServer(("127.0.0.1", 0), Gotify) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"json://127.0.0.1:{server.server_address[1]}/{secret}"
        write(tmp_path / FILE, {"apprise": [url]})
        age(world, 0)
        hear(world, 60)
        alerts.settle_alerts(world.control)
        teller = Teller(world.control, tmp_path / FILE)
        with pytest.raises(ControlUnavailable) as failed:
            teller.tell()
        Gotify.status = 200
        teller.tell()
        server.shutdown()
        thread.join()
    told = [body for path, body in Gotify.taken if path == f"/{secret}"]
    assert told[-1]["title"].endswith("agent agent-1 is lost")
    assert told[-1]["type"] in {"failure", "info"}
    write(tmp_path / FILE, {"apprise": [f"nosuch://{secret}"]})
    hear(world, 0)
    alerts.settle_alerts(world.control)
    with pytest.raises(ControlUnavailable, match="none that Apprise knows") as unknown:
        teller.tell()
    for words in (caplog.text, str(failed.value), str(unknown.value)):
        assert secret not in words


def test_a_file_that_cannot_be_read_is_told_and_without_one_nothing_is_sent(
    world: ArmWorld, tmp_path: Path
) -> None:
    teller = Teller(world.control, tmp_path / FILE)
    teller.tell()
    teller.tell_digest()
    for wrong in ({"mails": 1}, {"digest": {"hour": 24}}):
        write(tmp_path / FILE, wrong)
        with pytest.raises(Invalid, match="says not where"):
            teller.tell()
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(Invalid, match="can be read by others"):
        teller.tell()
