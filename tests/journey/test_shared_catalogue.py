"""Two control planes on one PostgreSQL catalogue: it stops and comes back, one of them is killed.

Jobs are done once: each completed one has one point, and no two have the same.
"""

import shutil
from collections.abc import Iterator

import psycopg
import pytest

from journey.cloud import Cloud, ended_job, fill, protect
from journey.world import House, Postgres, until
from ports import free_port
from strongroom.datastore.keys.keys import RecoveryKey
from strongroom.datastore.places.blobs import DirectoryBlobs
from strongroom.datastore.rescue.rescue import list_points

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

FIRST, SECOND = "serve-1", "serve-2"


class SharedHouse(House):
    """`second` is a control plane too; agent and callers talk to it alone."""

    def __init__(self, catalogue: Postgres) -> None:
        super().__init__()
        self.catalogue = catalogue
        url = f"postgresql+psycopg://postgres@/postgres?host={catalogue.home}"
        self.more["serve"] = ["--catalogue", f"{url}&port={catalogue.port}"]
        self.second = {"serve": free_port(), "portal": free_port()}

    def command(self, name: str) -> list[str]:
        if name != "second":
            return super().command(name)
        words = [*super().command("serve"), "--executor", SECOND]
        instead = {str(self.ports[port]): str(self.second[port]) for port in self.second}
        instead[str(self.directory / "serve")] = str(self.directory / "second")
        return [instead.get(word, word) for word in words]

    def start_all(self) -> None:
        for name in ("store", "serve"):
            self.start(name)
            self.wait_ready(name)
        shutil.copytree(self.directory / "serve", self.directory / "second")
        self.start("second")
        self.wait_ready("second")
        self.reached["serve"] = self.second["serve"]
        self.start("agent")
        self.wait_ready("agent")

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.catalogue.conninfo) as connection:
            return connection.execute(query.encode()).fetchall()

    def executor_of(self, job: str) -> str:
        """Who tells the story of a job; empty while nobody has taken it from the queue."""
        query = "select executor_id from dbos.workflow_status where status = 'PENDING' and"
        found = self.ask(f"{query} workflow_uuid = 'job:{job}'")
        return str(found[0][0]) if found else ""


@pytest.fixture(scope="module")
def catalogue() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def house(catalogue: Postgres) -> Iterator[SharedHouse]:
    found = SharedHouse(catalogue)
    try:
        found.start_all()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def cloud(house: SharedHouse, postgres: Postgres) -> Cloud:
    found = Cloud(house)
    fill(postgres)
    protect(found, house, "pg1", postgres.conninfo)
    return found


def assert_once(cloud: Cloud, house: SharedHouse) -> None:
    """Each completed job has its own point, which lies whole in storage; nothing else is there."""
    jobs = list(cloud.backup.jobs.list(cloud.group, cloud.vault))
    completed = [job for job in jobs if job.properties.status == "Completed"]
    points = [point.name for point in cloud.points("pg1-inst")]
    assert sorted(points) == sorted(job.name.replace("-", "") for job in completed)
    recovery = RecoveryKey.from_text((house.directory / "recovery.key").read_text())
    stored = [
        point
        for mark in (house.directory / "store").glob("*/*/FORMAT")
        for point in list_points(DirectoryBlobs(mark.parent), recovery)
    ]
    assert {p.recovery_point_id: p.problem for p in stored if p.receipt} == dict.fromkeys(
        points, ""
    )


def test_a_backup_outlives_an_immediate_stop_of_the_catalogue(
    cloud: Cloud, house: SharedHouse, catalogue: Postgres
) -> None:
    house.proc.pause("agent")
    operation = cloud.back_up("pg1-inst")
    job = operation.job_id.split("/")[-1]
    until("somebody to tell the story", lambda: house.executor_of(job))
    catalogue.stop()
    house.proc.go_on("agent")
    catalogue.start()
    assert ended_job(cloud, operation, 180).properties.status == "Completed"
    assert_once(cloud, house)


def test_what_a_killed_control_plane_was_doing_is_finished_by_the_other(
    cloud: Cloud, house: SharedHouse
) -> None:
    """Who is asked looks first, and mostly has it: until the first one does, backups just run."""
    asked = Cloud(house, f"https://localhost:{house.ports['serve']}")
    for _ in range(16):
        house.proc.pause("agent")
        operation = asked.back_up("pg1-inst")
        job = operation.job_id.split("/")[-1]
        owner = until("somebody to tell the story", lambda job=job: house.executor_of(job))
        if owner == FIRST:
            break
        house.proc.go_on("agent")
        assert ended_job(cloud, operation).properties.status == "Completed"
    assert owner == FIRST
    house.kill("serve")
    house.proc.go_on("agent")
    assert ended_job(cloud, operation, 180).properties.status == "Completed"
    assert house.ask("select id from executors") == [(SECOND,)]
    assert_once(cloud, house)
