"""Who holds an installation, and what is left when its holder dies."""

import base64
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from seams import SystemClock
from strongroom.cli.basis.running import Child, Place, Running, lives, start_time, stop_orphans
from strongroom.cli.installation.child import QUICK_DEATHS, Process
from strongroom.model.errors import Failed

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True);"
    " time.sleep(60)",
]


def began(command: list[str]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_only_one_process_holds_an_installation(place):
    assert place.holder() is None
    lock = place.hold()
    assert lock is not None
    assert place.hold() is None
    assert place.holder() == os.getpid()
    os.close(lock)
    assert place.holder() is None


def test_the_state_is_private_and_read_back(place):
    place.write(Running(ports={"https": 8443}, ready=True))
    assert stat.S_IMODE(place.state_file.stat().st_mode) == 0o600
    assert place.read() == Running(ports={"https": 8443}, ready=True)


def test_a_state_that_was_cut_short_counts_as_none(place):
    place.state_file.write_bytes(b'{"ports": {"ht')
    assert place.read() == Running()


def test_children_of_a_dead_holder_are_ended(place):
    process = began(SLEEPER)
    place.write(
        Running(children={"serve": Child(pid=process.pid, started=start_time(process.pid))})
    )
    assert stop_orphans(place, SystemClock()) == ["serve"]
    assert process.wait(30) == -signal.SIGTERM
    process.stdout.close()
    assert place.read().children == {}


def test_an_orphan_that_does_not_listen_is_killed(place):
    process = began(DEAF)
    place.write(
        Running(children={"store": Child(pid=process.pid, started=start_time(process.pid))})
    )
    assert stop_orphans(place, SystemClock(), seconds=0.2) == ["store"]
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()


def test_a_stranger_with_the_same_pid_is_left_alone(place):
    process = began(SLEEPER)
    other = Child(pid=process.pid, started="1")
    assert not lives(other)
    place.write(Running(children={"serve": other}))
    assert stop_orphans(place, SystemClock()) == []
    assert process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()


def tend_on(process: Process) -> None:
    while True:
        process.tend()
        SystemClock().sleep(0.02)


def test_a_process_that_never_gets_ready_is_given_up_with_its_last_words(tmp_path):
    process = Process(
        "agent", tmp_path, tmp_path / "agent.log", lambda: ["frobnicate"], SystemClock()
    )
    process.start()

    with pytest.raises(Failed) as raised:
        tend_on(process)
    assert f"ended {QUICK_DEATHS} times before it was ready (code 2)" in raised.value.message
    assert "frobnicate" in raised.value.message
    assert str(tmp_path / "agent.log") in raised.value.hint


def test_a_process_that_waits_for_a_person_is_not_started_again(tmp_path):
    """A lost catalogue does not come back by itself: `up` says so at once."""
    data, store = tmp_path / "serve", tmp_path / "store.key"
    store.write_text(base64.b64encode(bytes(64)).decode())
    data.mkdir(mode=0o700)
    (data / "catalogue-in-use").touch()
    words = ["serve", "--data", str(data), "--store-url", "http://127.0.0.1:9/strongroom"]
    words += ["--account-key", str(store), "--port", "0", "--portal-port", "0"]
    words += ["--connection", str(tmp_path / "c.json"), "--recovery-key", str(tmp_path / "r.key")]
    log = tmp_path / "serve.log"
    process = Process("serve", data, log, lambda: words, SystemClock())
    process.start()
    with pytest.raises(Failed) as raised:
        tend_on(process)
    assert process.restarts == 0
    assert "serve does not go on: " in raised.value.message
    assert "the catalogue is gone" in raised.value.message
    assert "strongroom rebuild --key FILE" in raised.value.message
