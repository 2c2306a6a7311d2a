"""A backup whose agent is killed is gone on with, not begun again; then all of it is proven.

Data that no compressor makes smaller, so that bytes in storage tell what was sent.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.servers import Server, run_restored, start_server
from journey.world import House, until

pytestmark = [pytest.mark.postgres, pytest.mark.journey]

ROWS = 56  # of 1 MiB
TOLD = 32 << 20  # bytes at least: so much is stored when the first partial delta is due
TRIP = Path(__file__).parent / "dies_midway"


class Shell:
    """A person at a shell, and a house that they look after."""

    def __init__(self, house: House) -> None:
        self.house = house

    def run(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "STRONGROOM_DATA": str(self.house.directory)}
        command = [sys.executable, "-m", "strongroom", *words]
        return subprocess.run(
            command, input=stdin, text=True, capture_output=True, env=environment, check=False
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def files(self, pattern: str) -> dict[Path, int]:
        """Size of each object of this form."""
        home = self.house.directory / "store" / "strongroom"
        return {path: path.stat().st_size for path in home.glob(f"*/{pattern}")}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql(
            "create table t (g int, b bytea)",
            "alter table t alter b set storage external",
            "insert into t select g, decode(string_agg(md5((g * 65536 + i)::text), ''), 'hex') "
            f"from generate_series(1, {ROWS}) g, generate_series(1, 65536) i group by g",
            "checkpoint",
        )
        yield found


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    house = House()
    trip = house.directory / "trip"
    path = os.pathsep.join(filter(None, [str(TRIP), os.environ.get("PYTHONPATH", "")]))
    house.environment["agent"] = {"PYTHONPATH": path, "DIES_MIDWAY": str(trip)}
    try:
        house.start_all()
        yield Shell(house)
    finally:
        house.close()


def test_the_second_try_sends_what_the_first_had_not(shell: Shell, server: Server) -> None:
    house = shell.house
    (house.directory / "trip").touch()
    done = shell.run("protect", "-", "--name", "orders", "--no-wait", stdin=server.conninfo)
    assert done.returncode == 0, done.stderr
    until("the agent to die", lambda: not house.proc.runs("agent"))
    before = shell.files("g/*/*.pack")
    assert shell.files("d/*/*.delta"), "it has told what it had stored"
    server.sql("update t set g = g + 100 where g % 9 = 0", "checkpoint")
    house.start("agent")
    house.wait_ready("agent")
    (job,) = shell.json("jobs")
    done = shell.run("jobs", "--follow", job["id"])
    assert done.returncode == 0, done.stderr
    (point,) = shell.json("points", "orders")
    sent = sum(shell.files("g/*/*.pack").values()) - sum(before.values())
    whole = point["facts"]["restore_bytes"]
    assert whole > ROWS << 20
    assert 0 < sent <= whole - TOLD
    assert point["kind"] == "Full"
    assert [each["verified"] for each in shell.json("verify", "orders")] == [True]
    target = house.directory / "restored"
    done = shell.run("restore", "orders", "--to-dir", str(target), "--yes")
    assert done.returncode == 0, done.stderr
    with run_restored(server, target) as clone:
        assert clone.digests() == server.digests()
