"""An agent on another host: it reaches API and storage by a name in their certificates."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from integration.servers import Server, start_server
from ports import free_port
from strongroom.app.commands import _means
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.following import follow
from strongroom.cli.basis.means import Common
from strongroom.cli.basis.vault import TEN_YEARS, Vault
from strongroom.cli.points.start_backup import start_backup
from strongroom.cli.protection import protecting
from strongroom.cli.protection.fleet import ALREADY, NOT, PROTECTED

pytestmark = [pytest.mark.postgres, pytest.mark.journey]
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tried here
ELSEWHERE = "127.0.0.2"  # in the certificate; 127.0.0.3 is not


class Site:
    """A vault that listens everywhere, and a directory that plays the other host."""

    def __init__(self, home: Path) -> None:
        self.data, self.far = home / "vault", home / "far"
        self.far.mkdir()

    def run(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "STRONGROOM_DATA": str(self.data)}
        command = [sys.executable, "-m", "strongroom", *words]
        return subprocess.run(
            command, input=stdin, text=True, capture_output=True, env=environment, check=False
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def ports(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.data / "up.json").read_text())["ports"]
        return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="sr-hosts-"))
    home.chmod(0o755)
    found = Site(home)
    try:
        words = ("--host", EVERYWHERE, "--name", ELSEWHERE, "--port", "0")
        found.ok("up", "--detach", *words)
        yield found
    finally:
        found.run("down")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def agent(site: Site) -> Iterator[str]:
    """The id of an agent that has enrolled with what it was told, and nothing else."""
    token = site.far / "db2.token"
    told = json.loads(site.ok("server", "enrol-token", "--to", str(token), "--output", "json"))
    ca = shutil.copy(told["ca"], site.far / "ca.pem")
    home = site.far / "agent"
    words = ["agent", "run", "--data", str(home), "--control", told["control"], "--ca", str(ca)]
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", *words, "--enrol", str(token), "--name", "db2"],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not (home / "ready.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads((home / "agent.json").read_text())["agent_id"]
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql("create table t as select g from generate_series(1, 1000) g")
        yield found


@pytest.fixture
def vault(site: Site) -> Iterator[Vault]:

    with vaults.opened(Common(data=site.data), _means()) as found:
        yield found


def test_everybody_is_told_the_name(site: Site) -> None:
    found = json.loads((site.data / "connection.json").read_text())
    assert found["arm"] == f"https://{ELSEWHERE}:{site.ports['https']}"
    assert found["blob"] == f"https://{ELSEWHERE}:{site.ports['store']}"
    assert found["portal"] == f"http://127.0.0.1:{site.ports['portal']}"


def test_an_agent_elsewhere_enrols_and_backs_up(
    site: Site, agent: str, server: Server, vault: Vault
) -> None:
    site.ok("agent", "add", "db2", "--data", str(site.far / "agent"), stdin=server.conninfo)
    vault.ensure(TEN_YEARS)
    wish = {"agent": agent, "agentServer": "db2"}
    body = {"location": "local", "properties": {"strongroom": wish}}
    deadline = time.monotonic() + 60
    while vault.rest.put(vault.server("db2"), body)["properties"]["state"] != "Ready":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    protecting.configure(vault, "db2", TEN_YEARS)
    follow(vault, start_backup(vault, "db2"), "backup of db2")
    assert len(vault.points("db2")) == 1


def test_a_fleet_is_protected_in_one_call_and_one_that_is_not_ready_stops_no_other(
    site: Site, server: Server
) -> None:
    """After db2, which is passed over."""
    absent = f"host=127.0.0.1 port={free_port()} user=postgres password=hunter2 dbname=postgres"
    fleet = f"# all\nabsent={absent}\ndb2={server.conninfo}\ndb3={server.conninfo}\n"
    bad = site.run("protect", "--from", "-", stdin=f"{fleet}hunter2\n")
    assert (bad.returncode, "line 5: " in bad.stderr) == (2, True)
    assert "db3" not in site.ok("server", "list")
    assert site.run("protect", "--from", "-", "--name", "db3", stdin=fleet).returncode == 2
    done = site.run("protect", "--from", "-", "--output", "json", stdin=fleet)
    assert done.returncode == 1, done.stderr
    found = {each["server"]: each for each in json.loads(done.stdout)}
    states = {name: each["state"] for name, each in found.items()}
    assert states == {"absent": NOT, "db2": ALREADY, "db3": PROTECTED}
    assert found["absent"]["why"][0]["hint"]
    assert len(json.loads(site.ok("points", "db3", "--output", "json"))) == 1
    again = site.run("protect", "--from", "-", stdin=fleet)
    assert (again.returncode, "2 protected already" in again.stdout) == (1, True)
    assert "line 2, absent: " in again.stdout
    told = "".join(each.stdout + each.stderr for each in (bad, done, again))
    assert "hunter2" not in told
    site.ok("stop", "db3")
    present = site.far / "fleet.txt"
    present.write_text(f"db2={server.conninfo}\ndb3={server.conninfo}\n")
    told = site.ok("protect", "--from", str(present))
    assert told == "1 protected already\n1 stopped or suspended, and left so\n"


@pytest.mark.parametrize("door", ["https", "store"])
def test_the_certificate_is_good_for_its_names_alone(site: Site, door: str) -> None:
    trust = ssl.create_default_context(cafile=str(site.data / "serve" / "ca.pem"))
    port = site.ports[door]
    with httpx.Client(verify=trust, trust_env=False) as client:
        assert client.get(f"https://{ELSEWHERE}:{port}/healthz").status_code == 200
        assert client.get(f"https://localhost:{port}/healthz").status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            client.get(f"https://127.0.0.3:{port}/healthz")


def test_the_portal_stays_on_this_machine(site: Site) -> None:
    with pytest.raises(ConnectionRefusedError), socket.socket() as probe:
        probe.connect((ELSEWHERE, site.ports["portal"]))


def test_nothing_is_said_in_the_clear_beyond_this_machine(site: Site) -> None:
    key = str(site.data / "store" / "account.key")
    data = ("--data", str(site.far / "new"), "--account-key", key)
    done = site.run("store", *data, "--host", EVERYWHERE)
    assert (done.returncode, "in the clear" in done.stderr) == (2, True)
    done = site.run("serve", *data, "--store-url", "http://store.example.com:8445/strongroom")
    assert (done.returncode, "strongroom certificate" in done.stderr) == (2, True)


def test_storage_on_its_own_host_gets_a_certificate_that_agents_trust(site: Site) -> None:
    to = site.far / "store-tls"
    words = ("certificate", "--name", "127.0.0.3", "--to", str(to))
    made = json.loads(site.ok(*words, "--output", "json"))
    key = str(site.data / "store" / "account.key")
    command = ["store", "--data", str(site.far / "store"), "--account-key", key]
    command += ["--host", "127.0.0.3", "--certificate", made["certificate"]]
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", *command, "--certificate-key", made["key"]],
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = site.far / "store" / "ready.json"
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        trust = ssl.create_default_context(cafile=made["ca"])
        port = json.loads(ready.read_text())["port"]
        with httpx.Client(verify=trust, trust_env=False) as client:
            assert client.get(f"https://127.0.0.3:{port}/healthz").status_code == 200
    finally:
        process.terminate()
        process.wait()


def test_a_client_may_use_any_of_the_names(site: Site) -> None:
    found = json.loads((site.data / "connection.json").read_text())
    found["arm"] = f"https://localhost:{site.ports['https']}"
    (site.far / "connection.json").write_text(json.dumps(found))
    assert site.run("jobs", "--data", str(site.far)).returncode == 0


def test_a_restart_keeps_the_address_and_another_name_makes_another_certificate(
    site: Site,
) -> None:
    """Last: it stops everything."""
    before = (site.data / "serve" / "server.pem").read_bytes()
    site.ok("down")
    site.ok("up", "--detach")
    assert (site.data / "serve" / "server.pem").read_bytes() == before
    assert f"https://{ELSEWHERE}:" in (site.data / "connection.json").read_text()
    done = site.run("up", "--detach", "--name", "127.0.0.3")
    assert (done.returncode, "strongroom down" in done.stderr) == (1, True)
    site.ok("down")
    site.ok("up", "--detach", "--name", "127.0.0.3")
    assert (site.data / "serve" / "server.pem").read_bytes() != before
    assert "https://127.0.0.3:" in (site.data / "connection.json").read_text()
    assert site.run("jobs").returncode == 0
    site.ok("down")
    site.ok("up", "--detach", "--host", "127.0.0.1")
    found = json.loads((site.data / "connection.json").read_text())
    assert found["arm"].startswith("https://localhost:")
    assert found["blob"].startswith("http://127.0.0.1:")
