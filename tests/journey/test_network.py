"""N1 in small: each link of a house is cut, reset, stalled, slowed and robbed of its answers.

In every phase of a backup and of a restore. A job completes or has failed loudly, a restored
server is the one that was backed up, and the oracle is content after each job.
"""

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from journey.cloud import Cloud, digest, ended_job, fill, protect, restore_request
from journey.world import House, Postgres
from net import FAULTS, Net, a_net
from oracle import check

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

SEED = 0x5EED2026
LINKS = ("agent-serve", "agent-store", "serve-store")
# What comes in the first, the middle and the last third of a job's exchanges on a link.
ROTATIONS = (("cut", "reset", "stall"), ("reset", "stall", "cut"), ("stall", "cut", "reset"))
LATE = ("slow", "lost")  # the answer to the last exchange, which has done its work


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with a_net(SEED) as found:
        yield found


@pytest.fixture(scope="module")
def house(net: Net) -> Iterator[House]:
    found = House(net)
    try:
        found.start_all()
        yield found
    finally:
        found.close()


class Jobs:
    """Backups and restores of one server, one after the other."""

    def __init__(self, cloud: Cloud, postgres: Postgres) -> None:
        self.cloud, self.postgres = cloud, postgres
        self.target = postgres.home / "restored"
        self.point = ""

    def run(self, kind: str) -> str:
        """How it ended; "Failed" only with a word on why."""
        if kind == "backup":
            operation = self.cloud.back_up("pg1-inst")
        else:
            wish = restore_request(self.cloud, self.point, self.target)
            operation = self.cloud.restore("pg1-inst", wish)
        job = ended_job(self.cloud, operation)
        told = job.properties.error_details
        assert job.properties.status == "Completed" or told, "a silent failure"
        self.point = self.cloud.points("pg1-inst")[0].name
        shutil.rmtree(self.target, ignore_errors=True)
        return job.properties.status


def exchanges(net: Net, jobs: Jobs, kind: str) -> dict[str, int]:
    """Link -> exchanges of an undisturbed job: the fewest of two, for no two have as many."""
    found = []
    for _ in range(2):
        before = net.plan.calls.copy()
        assert jobs.run(kind) == "Completed"
        found.append({link: net.plan.calls[link] - before[link] for link in LINKS})
    return {link: max(1, min(each[link] for each in found)) for link in LINKS}


def test_no_link_loses_or_invents_a_point(house: House, postgres: Postgres, net: Net) -> None:
    cloud = Cloud(house)
    expected = fill(postgres)
    protect(cloud, house, "pg1", postgres.conninfo)
    jobs, oracle = Jobs(cloud, postgres), house.watch(most_restores=2)
    usual = {kind: exchanges(net, jobs, kind) for kind in ("backup", "restore")}
    ended = []
    for turn, (link, faults) in enumerate(product(LINKS, [*ROTATIONS, LATE, LATE])):
        kind = ("backup", "restore")[turn % 2]
        count = usual[kind][link]
        for phase, fault in enumerate(faults):
            share = (phase + net.plan.rng.random()) / len(faults)
            net.plan.arm(link, fault, after=count - 1 if fault == "lost" else int(share * count))
        ended.append(jobs.run(kind))
        net.plan.disarm()
        check(oracle)
    never = {(link, fault) for link in LINKS for fault in FAULTS} - net.plan.fired.keys()
    assert never == set(), f"these never came: {sorted(never)}"
    assert ended.count("Completed") >= len(ended) * 3 // 4, ended
    assert [jobs.run("backup"), jobs.run("restore")] == ["Completed", "Completed"]
    postgres.stop()
    shutil.rmtree(postgres.data)
    wish = restore_request(cloud, jobs.point, postgres.data)
    assert ended_job(cloud, cloud.restore("pg1-inst", wish)).properties.status == "Completed"
    postgres.start()
    assert digest(postgres.conninfo) == expected
    assert Path(postgres.data, "PG_VERSION").exists()
    check(oracle, "deep")


def test_a_store_that_stands_still_for_a_while_costs_time_and_no_point(
    house: House, postgres: Postgres
) -> None:
    """Proc: paused, not dead. Its connections stay open, and nobody answers."""
    cloud = Cloud(house)
    oracle = house.watch()
    before = len(cloud.points("pg1-inst"))
    operation = cloud.back_up("pg1-inst")
    house.proc.pause("store")
    try:
        assert cloud.running(operation)
    finally:
        house.proc.go_on("store")
    assert ended_job(cloud, operation).properties.status == "Completed"
    assert len(cloud.points("pg1-inst")) == before + 1
    check(oracle)
