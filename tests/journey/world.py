"""The whole house as three real processes over a temporary directory, and a real PostgreSQL."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clusters
from net import Net, owner_of
from oracle import Watched
from oracle.book import open_book
from oracle.doors import StoreDoor
from oracle.hosts import Host
from ports import free_port
from seams import Proc
from strongroom.datastore.keys.keys import RecoveryKey
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import find_tools
from worlds import reads, scrub_names

NAMES = ("store", "serve", "agent")
PATIENCE = 60.0
EVERY = 0.05  # seconds between two looks


def until(what: str, look: Any, patience: float = PATIENCE, every: float = EVERY) -> Any:
    """Ask until it is there; the end of patience names what was waited for."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"waited {patience:.0f} s for {what}")


class House:
    """store, serve and agent; each can be killed and started again.

    With a net the three talk through it: its links are agent-serve, agent-store, serve-store.
    `more` is given to a process beside its own options, `environment` beside our own variables.
    """

    def __init__(self, net: Net | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="strongroom-"))
        self.directory.chmod(0o755)
        self.ports = {"store": free_port(), "serve": free_port(), "portal": free_port()}
        self.reached = dict(self.ports)  # where the others reach it
        self.proc = Proc(self.directory)
        self.more: dict[str, list[str]] = {}
        self.environment: dict[str, dict[str, str]] = {}
        self.key = self.directory / "account.key"
        self.key.write_text(base64.b64encode(os.urandom(64)).decode())
        self.key.chmod(0o600)
        if net is not None:
            self.reached["serve"] = net.line(self.ports["serve"], lambda _: "agent-serve")
            self.reached["store"] = net.line(
                self.ports["store"], lambda port: f"{owner_of(port, self.proc.pids())}-store"
            )

    def command(self, name: str) -> list[str]:
        d = self.directory
        if name == "store":
            more = ["--account-key", self.key, "--port", self.ports["store"]]
        elif name == "serve":
            store = f"http://127.0.0.1:{self.reached['store']}/strongroom"
            more = ["--store-url", store, "--account-key", self.key]
            more += ["--port", self.ports["serve"], "--portal-port", self.ports["portal"]]
            more += ["--connection", d / "connection.json", "--recovery-key", d / "recovery.key"]
            more += ["--agent-enrol", d / "agent" / "enrol.token"]
        else:
            more = ["--control", f"https://localhost:{self.reached['serve']}"]
            more += ["--ca", d / "serve" / "ca.pem", "--enrol", d / "agent" / "enrol.token"]
        verb = ["agent", "run"] if name == "agent" else [name]
        words = [*verb, str(d / name), *map(str, more), *self.more.get(name, [])]
        return [sys.executable, "-m", "strongroom", *words]

    def start(self, name: str) -> None:
        home = self.directory / name
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "ready.json").unlink(missing_ok=True)
        self.proc.start(name, self.command(name), self.environment.get(name))

    def wait_ready(self, name: str) -> None:
        def look() -> bool:
            assert self.proc.runs(name), f"{name} ended: {self.log(name)}"
            return (self.directory / name / "ready.json").exists()

        until(f"{name} to be ready", look)

    def start_all(self) -> None:
        for name in NAMES:
            self.start(name)
            self.wait_ready(name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        self.proc.kill(name, number)

    def restart(self, name: str) -> None:
        """Asked to stop, and started as it is wanted now."""
        self.kill(name, signal.SIGTERM)
        self.start(name)
        self.wait_ready(name)

    def log(self, name: str) -> str:
        return self.proc.log_file(name).read_text()[-4000:]

    def add_server(self, name: str, conninfo: str, source: str = "auto") -> None:
        command = [sys.executable, "-m", "strongroom", "agent", "add", name]
        command += ["--data", str(self.directory / "agent"), "--source", source]
        subprocess.run(command, input=conninfo.encode(), check=True)

    @property
    def connection(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.directory / "connection.json").read_text())
        return found

    def watch(self, *, most_restores: int | None = None) -> Watched:
        """This house through its doors, for the oracle."""
        recovery = RecoveryKey.from_text((self.directory / "recovery.key").read_text())
        catalogue = self.directory / "serve" / "catalogue.sqlite"
        return Watched(
            containers=self._containers,
            recovery=recovery.to_text(),
            now=lambda: datetime.now(UTC),
            scrub=lambda door, point: scrub_names(door, recovery, point),
            reader=lambda door, point: reads(door, recovery, point),
            book=lambda: open_book(catalogue),
            host=Host(
                processes=self.proc.pids,
                logs=lambda: [self.proc.log_file(name) for name in NAMES],
                catalogue=catalogue,
                agent_home=self.directory / "agent",
                secrets=self._secrets,
            ),
            most_restores=most_restores,
        )

    def _containers(self) -> dict[str, StoreDoor]:
        root = self.directory / "store"
        places = (root / "strongroom").iterdir()
        return {place.name: StoreDoor(root, "strongroom", place.name) for place in places}

    def _secrets(self) -> dict[str, bytes]:
        serve = self.directory / "serve"
        found = {
            "the account key": self.key.read_bytes().strip(),
            "the client's secret": self.connection["clientSecret"].encode(),
            "the recovery key": (self.directory / "recovery.key").read_bytes().split()[5],
        }
        found |= {f"serve's {p.name}": p.read_bytes().strip() for p in serve.glob("*.key")}
        identity = self.directory / "agent" / "agent.json"
        if identity.exists():
            found["the agent's token"] = json.loads(identity.read_text())["agent_token"].encode()
        return found

    def close(self) -> None:
        self.proc.close()
        shutil.rmtree(self.directory)


class Postgres:
    """A server of its own, in a directory that its user can reach."""

    def __init__(self, major: int = 15) -> None:
        self.tools = find_tools(major)
        self.home = Path(tempfile.mkdtemp(prefix="pg-"))
        self.home.chmod(0o755)
        user = scratch.server_user()
        if os.geteuid() == 0:
            os.chown(self.home, user.uid, user.gid)
        self.data = self.home / "data"
        self.port = free_port()
        clusters.initialise(self.tools, self.data)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("fsync = off\nshared_buffers = 32MB\n")  # no host of it loses power
        self.start()

    @property
    def conninfo(self) -> str:
        return f"host={self.home} port={self.port} user=postgres dbname=postgres"

    def start(self) -> None:
        scratch.start(self.tools, self.data, port=self.port, socket_directory=self.home)

    def stop(self) -> None:
        scratch.stop(self.tools, self.data, "immediate")

    def close(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.home)
