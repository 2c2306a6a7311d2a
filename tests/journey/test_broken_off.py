"""A backup whose agent is killed is gone on with, not begun again; then points are proven.

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
from oracle import check
from strongroom.agent.memory import LESSER, WHOLE

pytestmark = [pytest.mark.postgres, pytest.mark.journey]

ROWS = 44  # of 1 MiB
UNTOLD = 3 * WHOLE.pack_raw_size // 8  # of packs of 4 MiB: two on their way, and one just there
SMALL = 4 << 20  # bytes of small files and forks, and of log, which each try sends
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
        found.sql("create table t (g int, b bytea)", "alter table t alter b set storage external")
        with found.connect() as connection:
            for number in range(ROWS):
                row = (number, os.urandom(1 << 20))
                connection.execute("insert into t values (%s, %s)", row)
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
    lay = sum(before.values())
    assert lay > UNTOLD + SMALL
    assert lay + sent <= whole + UNTOLD + SMALL, "what lay there is not sent again"
    assert point["kind"] == "Full"
    target = house.directory / "restored"
    done = shell.run("restore", "orders", "--to-dir", str(target), "--yes")
    assert done.returncode == 0, done.stderr
    query = "select count(*), sum(g), md5(string_agg(md5(b), '' order by md5(b))) from t"
    with run_restored(server, target) as clone:
        assert clone.sql(query) == server.sql(query)
    check(house.watch(most_restores=1), "deep")


def flip(path: Path, place: int | None = None) -> None:
    """A bit in the middle, or of that byte."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def by_kind(shell: Shell) -> dict[str, dict[str, Any]]:
    return {point["kind"]: point for point in shell.json("points", "orders")}


def test_a_flipped_bit_is_found_by_name_marked_and_forgiven_when_it_is_mended(
    shell: Shell, server: Server
) -> None:
    before = shell.files("g/*/*.pack")
    server.sql("create table u as select g, md5(g::text) from generate_series(1, 20000) g")
    shell.json("backup", "orders")
    new = {path: n for path, n in shell.files("g/*/*.pack").items() if path not in before}
    pack = max(new, key=lambda path: new[path])
    told = shell.json("verify", "orders", "--all")
    assert [each["verified"] for each in told] == [True, True]
    assert min(each["bytes"] for each in told) > ROWS << 20
    points = by_kind(shell)
    assert points.keys() == {"Full", "Incremental"}
    assert all(point["verifiedAt"] for point in points.values())

    flip(pack)
    done = shell.run("verify", "orders", "--point", points["Incremental"]["id"])
    assert done.returncode != 0
    name = f"g/{pack.parent.name}/{pack.name}"
    for words in (name, "lost are ", "Take another backup while the server lives"):
        assert words in done.stderr
    damaged = {kind: point["facts"].get("damaged") for kind, point in by_kind(shell).items()}
    assert damaged == {"Full": None, "Incremental": [name]}
    assert shell.json("verify", "orders", "--point", points["Full"]["id"])[0]["verified"]

    flip(pack)
    assert shell.json("verify", "orders", "--point", points["Incremental"]["id"])[0]["verified"]
    assert "damaged" not in by_kind(shell)["Incremental"]["facts"]
    check(shell.house.watch(most_restores=1))


def test_a_damaged_pack_takes_only_the_tables_that_lie_in_it(shell: Shell, server: Server) -> None:
    full = LESSER.pack_raw_size, WHOLE.pack_raw_size
    packs = [  # of nothing but rows of t, which alone fill one although it is compressed
        path
        for path, size in shell.files("g/*/*.pack").items()
        if any(0.98 < size / raw < 1.01 for raw in full)
    ]
    assert packs
    for pack in packs:
        flip(pack, 100)  # no key opens it now

    def taken(table: str) -> "subprocess.CompletedProcess[str]":
        words = ("--database", "postgres", "--table", f"public.{table}", "--yes")
        target = shell.house.directory / f"only-{table}"
        return shell.run("restore", "orders", "--to-dir", str(target), *words)

    done = taken("u")
    assert done.returncode == 0, done.stderr
    done = taken("t")
    assert done.returncode != 0
    assert any(f"no key was given for pack {pack.stem}" in done.stderr for pack in packs)
    assert "strongroom verify" in done.stderr
    for pack in packs:
        flip(pack, 100)


def test_a_backup_that_is_cancelled_lets_go_and_leaves_no_point(
    shell: Shell, server: Server
) -> None:
    points = shell.json("points", "orders")
    before = shell.files("g/*/*.pack")
    assert shell.run("server", "set", "orders", "--bandwidth", "1MiB/s").returncode == 0
    job = shell.json("backup", "orders", "--full", "--no-wait")["job"]
    until("its first pack", lambda: shell.files("g/*/*.pack").keys() - before.keys())
    assert shell.json("cancel", job) == {"id": job, "status": "Cancelled"}
    assert shell.json("cancel", job)["status"] == "Cancelled"
    backends = "select 1 from pg_stat_activity where backend_type = 'walsender'"
    until("the agent to let go", lambda: not server.sql(backends))
    assert shell.json("points", "orders") == points
    assert shell.run("server", "set", "orders", "--bandwidth", "0").returncode == 0
    assert shell.json("backup", "orders")["recoveryPoint"]["kind"] == "Incremental"
    (told,) = shell.json("gc", "orders")
    left = shell.files(f"g/{job.replace('-', '')}/*.pack")
    assert told["garbageBytes"] >= sum(left.values()) > 0, "no more than garbage, to be collected"
    check(shell.house.watch(most_restores=1), "deep")
