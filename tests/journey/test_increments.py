"""Incremental for ever, as a person sees it: backup, change, backup, restore."""

from collections.abc import Iterator

import pytest

from integration.servers import Server, run_restored, start_server
from journey.person import Person

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql("create table t as select g, md5(g::text) from generate_series(1, 50000) g")
        yield found


@pytest.fixture(scope="module")
def protected(person: Person, server: Server) -> str:
    person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
    return "orders"


def kinds(person: Person, name: str) -> list[str]:
    return [point["kind"] for point in person.json("points", name)]


def test_a_second_backup_is_an_increment_that_restores_alone(person, server, protected):
    first = person.json("points", protected)[0]
    server.sql("update t set md5 = 'changed' where g % 1000 = 0")
    told = person.json("backup", protected)
    assert kinds(person, protected) == ["Incremental", "Full"]
    assert told["recoveryPoint"]["storedBytes"] < first["storedBytes"] / 4
    plan = person.json("plan", protected, "--to-dir", str(person.home / "restored"))
    added = told["recoveryPoint"]["storedBytes"]
    assert plan["readBytes"] == pytest.approx(first["storedBytes"] + added, rel=0.05)
    target = person.home / "restored"
    person.ok("restore", protected, "--to-dir", str(target))
    with run_restored(server, target) as clone:
        assert clone.digests() == server.digests()


def test_a_full_backup_is_taken_when_it_is_asked_for_and_says_so(person, protected):
    done = person.run("backup", protected, "--full")
    assert done.returncode == 0
    assert "full backup: a full backup was asked for" in done.stderr
    assert "(Full)" in done.stdout
    assert kinds(person, protected)[0] == "Full"


def test_the_server_goes_back_in_its_own_directory(person, server, protected):
    wanted = server.digests()
    person.ok("backup", protected)
    server.sql("update t set md5 = 'gone wrong'", "create table late (n int)")
    plan = person.json("plan", protected, "--in-place")
    assert plan["target"] == str(server.data_directory)
    assert [warning["code"] for warning in plan["warnings"]] == ["Overwritten", "ServerRuns"]
    refused = person.run("restore", protected, "--in-place")
    assert refused.returncode != 0
    assert "a server runs in" in refused.stderr
    server.stop()
    plan = person.json("plan", protected, "--in-place")
    assert [warning["code"] for warning in plan["warnings"]] == ["Overwritten"]
    port = str(server.port)
    told = person.ok("restore", protected, "--in-place", "--start", "--port", port)
    assert f"restored {protected} into {server.data_directory}" in told
    assert server.digests() == wanted


def test_the_job_of_the_first_backup_says_why_it_was_full(person, protected):
    job = person.json("jobs")[-1]["id"]
    done = person.run("jobs", "--follow", job)
    assert "full backup: there is no recovery point to lean on yet" in done.stderr
    assert kinds(person, protected)[-1] == "Full"
