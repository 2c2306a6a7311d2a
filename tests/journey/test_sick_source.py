"""B5, as a person sees it: a page that is damaged on the server's own disk, in every place where
somebody looks, whatever the agent reads from.
"""

from collections.abc import Iterator

import pytest

from integration.servers import Server, run_restored, start_server
from journey.person import Person
from strongroom.model.postgres import PAGE

pytestmark = [pytest.mark.postgres, pytest.mark.journey, pytest.mark.B5]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15, options=("--data-checksums",), autovacuum="off") as found:
        found.sql("create table t as select g from generate_series(1, 9000) g")
        found.sql("create table sound as select g from generate_series(1, 900) g", "checkpoint")
        yield found


def damaged_file(server: Server) -> str:
    path = server.sql("select pg_relation_filepath('t')")[0][0]
    with (server.data_directory / path).open("r+b") as file:
        file.seek(2 * PAGE + 4000)
        file.write(b"damage")
    return str(path)


def read_from(person: Person, server: Server, source: str) -> None:
    words = ("agent", "add", "orders", "--replace", "--source", source)
    person.ok(*words, "--data", str(person.data / "agent"), stdin=server.conninfo)


def test_a_damaged_page_is_told_by_job_and_point_from_the_disk_and_from_the_stream(person, server):
    person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
    assert person.json("jobs")[0]["status"] == "Completed"
    path = damaged_file(server)
    for source in ("disk", "stream"):
        read_from(person, server, source)
        done = person.run("backup", "orders", "--full")
        assert done.returncode == 0, done.stderr
        assert f"damaged on the server's disk in {path}: block 2" in done.stderr
        job = person.json("jobs")[0]
        assert job["status"] == "CompletedWithWarnings"
        assert f"{path}: block 2" in person.run("jobs", "--follow", job["id"]).stderr
        point = person.json("points", "orders")[0]
        assert point["facts"]["damaged_pages"] == {path: [2]}
        told = person.run("points", "orders").stderr
        assert f"{point['id']} was taken of a damaged {path}: block 2" in told
    target = person.home / "restored"
    planned = person.json("plan", "orders", "--to-dir", str(target))
    assert [each["code"] for each in planned["warnings"]] == ["SourceDamaged"]
    person.ok("restore", "orders", "--to-dir", str(target))
    with run_restored(server, target) as clone:
        assert clone.sql("select count(*) from sound") == [(900,)]


def test_the_disk_is_refused_by_name_where_the_role_may_not_and_the_stream_serves(person, server):
    server.sql("create role plain login replication")
    plain = server.conninfo.replace("user=postgres", "user=plain")
    words = ("agent", "add", "orders", "--replace", "--data", str(person.data / "agent"))
    person.ok(*words, "--source", "disk", stdin=plain)
    refused = person.run("backup", "orders")
    assert refused.returncode != 0
    assert "GRANT pg_read_all_settings TO plain" in refused.stderr
    assert person.json("jobs")[0]["status"] == "Failed"
    person.ok(*words, "--source", "auto", stdin=plain)
    person.ok("backup", "orders")


def test_a_page_that_stays_damaged_is_told_by_every_increment_until_it_is_written_anew(person):
    """A server that sends what has changed looks at nothing else, and says nothing of it."""
    more = {"summarize_wal": "on", "autovacuum": "off"}
    with start_server(18, options=("--data-checksums",), **more) as server:
        server.sql("create table t as select g from generate_series(1, 9000) g")
        server.sql("create table sound as select g from generate_series(1, 900) g", "checkpoint")
        path = damaged_file(server)
        person.ok("protect", "-", "--name", "newer", stdin=server.conninfo)
        assert person.json("points", "newer")[0]["facts"]["damaged_pages"] == {path: [2]}
        server.sql("insert into sound values (0)")
        done = person.run("backup", "newer")
        assert f"in {path} when an earlier point read them, and have not been" in done.stderr
        assert person.json("jobs")[0]["status"] == "CompletedWithWarnings"
        point = person.json("points", "newer")[0]
        assert point["kind"] == "Incremental"
        assert point["facts"]["damaged_pages"] == {path: [2]}
        server.sql("truncate t", "checkpoint")
        person.ok("backup", "newer")
        assert person.json("jobs")[0]["status"] == "Completed"
        assert "damaged_pages" not in person.json("points", "newer")[0]["facts"]
