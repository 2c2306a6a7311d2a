"""One house, one server, one person at a shell, and the ways in which things go wrong for them."""

import base64
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from integration.postgres.test_check import an_old_server
from integration.servers import Server, start_server
from journey.world import House, until
from oracle import Watched
from store_world import a_sas

PASSWORD = "correct-horse-battery"
SMALL_DISK = Path(__file__).parent / "small_disk"
NEVER_FREE = 1 << 62  # bytes of reserve that no disk has


@dataclass
class Outcome:
    """Exit code or status, and everything that was said."""

    code: int
    text: str


@dataclass
class Scene:
    """What every case finds, and leaves as it was."""

    house: House
    server: Server
    oracle: Watched
    count: int = 0

    @property
    def small(self) -> Path:
        """A directory that the agent takes for the root of a tiny file system."""
        return self.house.directory / "small"

    def run(self, *words: str, stdin: str = "") -> Outcome:
        """A command of the command line."""
        environment = {**os.environ, "STRONGROOM_DATA": str(self.house.directory)}
        done = subprocess.run(
            [sys.executable, "-m", "strongroom", *words],
            input=stdin,
            text=True,
            capture_output=True,
            env=environment,
            check=False,
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def add(self, conninfo: str) -> Outcome:
        """Try to register a server; it must not be known afterwards."""
        found = self.run("server", "add", "lacking", "-", stdin=conninfo)
        assert "lacking" not in self.run("server", "list").text
        return found

    def add_for_dumps(self, name: str, conninfo: str) -> Outcome:
        """Register a server that can be dumped and not copied."""
        found = self.run("server", "add", name, "-", stdin=conninfo)
        assert name in self.run("server", "list").text
        return found

    def backup(self) -> Outcome:
        return self.run("backup", "orders")

    def restore(self, place: Path | None = None) -> Outcome:
        """Into a new directory, unless one is named."""
        self.count += 1
        target = place or self.house.directory / "restored" / str(self.count)
        return self.run("restore", "orders", "--to-dir", str(target), "--yes")

    def tcp(self, user: str, password: str = PASSWORD) -> str:
        return f"{self.server.tcp} user={user} password={password} sslmode=disable"

    def pack(self) -> Path:
        """The largest object of the newest point."""
        packs = (self.house.directory / "store" / "strongroom").glob("*/g/*/*.pack")
        newest = max(packs, key=lambda path: path.stat().st_mtime).parent
        return max(newest.iterdir(), key=lambda path: path.stat().st_size)

    def api(self, method: str, path: str, **more: object) -> Outcome:
        """A request to the API with a token of the administrator's."""
        found = self.house.connection
        ours = ssl.create_default_context(cafile=found["ca"])
        with httpx.Client(base_url=found["arm"], verify=ours) as client:
            form = {
                "grant_type": "client_credentials",
                "client_id": found["clientId"],
                "client_secret": found["clientSecret"],
                "scope": f"{found['arm']}/.default",
            }
            answer = client.post(f"/{found['tenant']}/oauth2/v2.0/token", data=form)
            token = {"authorization": f"Bearer {answer.json()['access_token']}"}
            answer = client.request(method, path, headers=token, **more)
            return Outcome(answer.status_code, answer.text)

    def vault_path(self) -> str:
        found = self.house.connection
        return (
            f"/subscriptions/{found['subscription']}/resourceGroups/{found['resourceGroup']}"
            "/providers/Microsoft.DataProtection/backupVaults/another"
        )


@contextmanager
def a_scene() -> Iterator[Scene]:
    """A protected server with one recovery point."""
    house = House()
    small = house.directory / "small"
    small.mkdir()
    house.environment["agent"] = {"PYTHONPATH": _path(), "SMALL_DISK": str(small)}
    try:
        house.start_all()
        with start_server(15) as server:
            server.sql(
                f"create role keeper login replication password '{PASSWORD}'",
                f"create role plain login password '{PASSWORD}'",
                "create table t as select g, md5(g::text) from generate_series(1, 20000) g",
            )
            scene = Scene(house, server, house.watch(most_restores=2))
            done = scene.run("protect", "-", "--name", "orders", stdin=server.conninfo)
            assert done.code == 0, done.text
            # Over the network, as most of these troubles need it: by itself it reads the disk.
            command = [sys.executable, "-m", "strongroom", "agent", "add", "orders", "--replace"]
            command += ["--data", str(house.directory / "agent"), "--source", "stream"]
            subprocess.run(command, input=server.conninfo.encode(), check=True)
            yield scene
    finally:
        house.close()


def _path() -> str:
    return os.pathsep.join(filter(None, [str(SMALL_DISK), os.environ.get("PYTHONPATH", "")]))


# --- the server says no


@contextmanager
def _rules(server: Server, *lines: str) -> Iterator[None]:
    before = (server.data_directory / "pg_hba.conf").read_text()
    server.replace_hba(*lines)
    try:
        yield
    finally:
        (server.data_directory / "pg_hba.conf").write_text(before)
        server.sql("select pg_reload_conf()")


ORDINARY = "host all all 127.0.0.1/32 scram-sha-256"
REPLICATION = "host replication all 127.0.0.1/32 scram-sha-256"


def wrong_password(scene: Scene) -> Outcome:
    with _rules(scene.server, ORDINARY, REPLICATION):
        return scene.add(scene.tcp("keeper", "wrong"))


def no_replication(scene: Scene) -> Outcome:
    with _rules(scene.server, ORDINARY, REPLICATION):
        return scene.add_for_dumps("no-replication", scene.tcp("plain"))


def no_hba_entry(scene: Scene) -> Outcome:
    with _rules(scene.server, ORDINARY):
        return scene.add_for_dumps("no-hba-entry", scene.tcp("keeper"))


def minimal_log(scene: Scene) -> Outcome:
    with start_server(15, wal_level="minimal", max_wal_senders=0) as server:
        return scene.add_for_dumps("minimal-log", server.conninfo)


def unsupported_version(scene: Scene) -> Outcome:
    with an_old_server("13.9") as port:
        return scene.add(f"host=127.0.0.1 port={port} user=me dbname=postgres sslmode=disable")


# --- a backup meets trouble


@contextmanager
def _backup_under_way(
    scene: Scene, then: Callable[[], None] = lambda: None
) -> Iterator[list[Outcome]]:
    """The body runs while the server is being read, and the agent stands still; `then` when it
    goes on. The list has the outcome afterwards.
    """
    found: list[Outcome] = []
    command = threading.Thread(target=lambda: found.append(scene.backup()))
    with scene.server.connect() as connection:
        query = "select pid from pg_stat_progress_basebackup where phase like 'streaming%'"
        command.start()
        deadline = time.monotonic() + 30
        while not connection.execute(query).fetchall():
            assert time.monotonic() < deadline
    scene.house.proc.pause("agent")
    try:
        yield found
    finally:
        scene.house.proc.go_on("agent")
        then()
        command.join()


def server_stops(scene: Scene) -> Outcome:
    """And starts again, when it has been waited for."""

    def start() -> None:
        until("the agent to wait", lambda: "is waited for" in scene.house.log("agent"))
        scene.server.start()

    with _backup_under_way(scene, then=start) as found:
        scene.server.stop("immediate")
    return found[0]


def log_is_gone(scene: Scene) -> Outcome:
    """The server may keep so little log for us that it is gone before it was sent."""
    scene.server.sql("alter system set max_slot_wal_keep_size = '1MB'", "select pg_reload_conf()")
    found = scene.backup()
    scene.server.sql("alter system reset max_slot_wal_keep_size", "select pg_reload_conf()")
    return found


def expired_access(scene: Scene) -> Outcome:
    """What an agent would be told that kept a signature for longer than its hour."""
    container = next((scene.house.directory / "store" / "strongroom").iterdir()).name
    key = base64.b64decode(scene.house.key.read_bytes())
    sas = a_sas(container, f"g/{'0' * 32}", "d", minutes=-1, key=key)
    url = f"http://127.0.0.1:{scene.house.ports['store']}/strongroom/{container}"
    name = f"g/{'0' * 32}/new.pack"
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2025-01-05"}
    answer = httpx.put(f"{url}/{name}?{sas}", content=b"late", headers=headers)
    return Outcome(answer.status_code, answer.text)


def storage_full(scene: Scene) -> Outcome:
    scene.house.more["store"] = ["--reserve", str(NEVER_FREE)]
    scene.house.restart("store")
    found = scene.backup()
    del scene.house.more["store"]
    scene.house.restart("store")
    return found


def storage_down(scene: Scene) -> Outcome:
    """It is away for a while, and what waits for it goes on."""
    scene.house.kill("store")
    try:
        started = scene.run("backup", "orders", "--no-wait", "--output", "json")
    finally:
        scene.house.start("store")
        scene.house.wait_ready("store")
    job = json.loads(started.text)["job"]
    return scene.run("jobs", "--follow", job)


# --- a restore meets trouble


def flipped_bit(scene: Scene) -> Outcome:
    pack = scene.pack()
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    target = scene.house.directory / "restored" / "flipped"
    found = scene.restore(target)
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    return found


def filled_target(scene: Scene) -> Outcome:
    target = scene.house.directory / "filled"
    target.mkdir()
    (target / "precious").write_text("keep me")
    found = scene.restore(target)
    assert [path.name for path in target.iterdir()] == ["precious"]
    return found


def small_target(scene: Scene) -> Outcome:
    found = scene.restore(scene.small / "data")
    assert list(scene.small.iterdir()) == []
    return found


def unknown_point(scene: Scene) -> Outcome:
    target = scene.house.directory / "nowhere"
    words = ("restore", "orders", "--point", "f" * 32, "--to-dir", str(target))
    found = scene.run(*words)
    assert not target.exists()
    return found


# --- a client gets it wrong


def malformed_json(scene: Scene) -> Outcome:
    path = f"{scene.vault_path()}?api-version=2025-07-01"
    headers = {"content": b'{"location": "local", ', "params": {}}
    return scene.api("PUT", path, **headers)


def no_api_version(scene: Scene) -> Outcome:
    return scene.api("GET", scene.vault_path())
