"""The whole house as three real processes over a temporary directory, and a real PostgreSQL."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from strongroom.postgres import scratch
from strongroom.postgres.tools import find_tools

PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(what: str, look: Any, patience: float = PATIENCE) -> Any:
    """Ask until it is there; the end of patience names what was waited for."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {patience:.0f} s for {what}")


class House:
    """store, serve and agent; each can be killed and started again."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="strongroom-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.ports = {"store": free_port(), "serve": free_port(), "portal": free_port()}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.key = self.directory / "account.key"
        self.key.write_text(base64.b64encode(os.urandom(64)).decode())
        self.key.chmod(0o600)

    def command(self, name: str) -> list[str]:
        d = self.directory
        if name == "store":
            more = ["--account-key", self.key, "--port", self.ports["store"]]
        elif name == "serve":
            store = f"http://127.0.0.1:{self.ports['store']}/strongroom"
            more = ["--store-url", store, "--account-key", self.key]
            more += ["--port", self.ports["serve"], "--portal-port", self.ports["portal"]]
            more += ["--connection", d / "connection.json", "--recovery-key", d / "recovery.key"]
            more += ["--agent-enrol", d / "agent" / "enrol.token"]
        else:
            more = ["--control", f"https://localhost:{self.ports['serve']}"]
            more += ["--ca", d / "serve" / "ca.pem", "--enrol", d / "agent" / "enrol.token"]
        verb = ["agent", "run"] if name == "agent" else [name]
        return [sys.executable, "-m", "strongroom", *verb, str(d / name), *map(str, more)]

    def start(self, name: str) -> None:
        home = self.directory / name
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "ready.json").unlink(missing_ok=True)
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.command(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_ready(self, name: str) -> None:
        process = self.processes[name]

        def look() -> bool:
            assert process.poll() is None, f"{name} ended: {self.log(name)}"
            return (self.directory / name / "ready.json").exists()

        until(f"{name} to be ready", look)

    def start_all(self) -> None:
        for name in ("store", "serve", "agent"):
            self.start(name)
            self.wait_ready(name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes[name]
        process.send_signal(number)
        process.wait(timeout=30)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()[-4000:]

    def add_server(self, name: str, conninfo: str) -> None:
        command = [sys.executable, "-m", "strongroom", "agent", "add", name]
        command += ["--data", str(self.directory / "agent")]
        subprocess.run(command, input=conninfo.encode(), check=True)

    @property
    def connection(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.directory / "connection.json").read_text())
        return found

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)
        shutil.rmtree(self.directory)


class Postgres:
    """A server of its own, in a directory that its user can reach."""

    def __init__(self, major: int = 15) -> None:
        self.tools = find_tools(major)
        self.home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.home.chmod(0o755)
        user = scratch.server_user()
        if os.geteuid() == 0:
            os.chown(self.home, user.uid, user.gid)
        self.data = self.home / "data"
        self.port = free_port()
        scratch.initialise(self.tools, self.data)
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
