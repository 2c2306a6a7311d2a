"""One process, two doors: https for everybody, http for this host; and a clean end."""

import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from authority import Authority

DOORS = """
import sys, threading, time
from pathlib import Path
from types import SimpleNamespace
from fastapi import FastAPI
from strongroom.web.server import DoorSettings, listen, serve

app = FastAPI()
database = SimpleNamespace(side_by_side=16)
app.state.control = SimpleNamespace(stopping=threading.Event(), database=database)

@app.get("/slow")
def slow() -> str:
    time.sleep(1.0)
    return "done"

@app.get("/scheme")
def scheme() -> str:
    return "here"

certificate, key = map(Path, sys.argv[1:3])
sockets = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
settings = DoorSettings(token_key=key.read_bytes(), certificate=certificate, key=key)
ports = [found.getsockname()[1] for found in sockets]
serve(app, settings, sockets, lambda: print(*ports, flush=True))
print("ended", flush=True)
"""


class Doors:
    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        files = authority.server_certificate()
        self.process = subprocess.Popen(
            [sys.executable, "-c", DOORS, *map(str, files)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        secure, plain = self.process.stdout.readline().split()
        trust = ssl.create_default_context(cafile=str(authority.ca_file))
        self.secure = httpx.Client(base_url=f"https://localhost:{secure}", verify=trust)
        self.plain = httpx.Client(base_url=f"http://127.0.0.1:{plain}")

    def close(self) -> None:
        self.secure.close()
        self.plain.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    yield found
    found.close()


def test_both_doors_lead_to_the_same_application(doors: Doors) -> None:
    assert doors.secure.get("/scheme").json() == doors.plain.get("/scheme").json() == "here"


def test_a_request_under_way_is_answered_before_the_end(doors: Doors) -> None:
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(doors.plain.get("/slow").json()))
    asking.start()
    time.sleep(0.3)
    doors.process.send_signal(signal.SIGTERM)
    asking.join()
    assert answers == ["done"]
    assert doors.process.wait(30) == 0


def test_an_idle_tls_client_does_not_hold_up_the_end(doors: Doors) -> None:
    assert doors.secure.get("/scheme").status_code == 200  # and stays connected
    began = time.monotonic()
    doors.process.send_signal(signal.SIGTERM)
    assert doors.process.wait(30) == 0
    assert time.monotonic() - began < 8  # ten seconds are what whoever stays is given
