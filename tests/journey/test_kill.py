"""K1: kill -9 of agent, control plane or store at seeded moments of a backup and of a restore.

After a restart the job completes or has failed loudly; no partial recovery point is ever visible;
what was committed restores. The oracle is asked after each kill, and deeply at the end.
"""

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from journey.cloud import Cloud, digest, ended_job, fill, protect, restore_request
from journey.world import House, Postgres, until
from oracle import check

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]

KILLS = 16  # of every commit; the campaign has more
SEED = int(os.environ.get("STRONGROOM_SEED", "0x5EED2026"), 0)
LATEST = 0.8  # seconds after a job was asked for


def strike(house: House, rng: random.Random) -> None:
    """Kill one process, and start it again."""
    name = rng.choice(["agent", "serve", "store"])
    house.kill(name)
    house.start(name)
    house.wait_ready(name)


def kill_again_and_again(house: House, postgres: Postgres, seed: int, kills: int) -> None:
    """Two backups, then a restore, and so on; each is struck once."""
    rng = random.Random(seed)
    cloud = Cloud(house)
    expected = fill(postgres)
    protect(cloud, house, "pg1", postgres.conninfo)
    oracle = house.watch(most_restores=2)
    jobs: dict[str, str] = {}
    restored = postgres.home / "restored"
    points: list[str] = []
    under_way = 0
    for number in range(kills):
        restoring = bool(points) and number % 3 == 2
        if restoring:
            operation = cloud.restore("pg1-inst", restore_request(cloud, points[-1], restored))
        else:
            operation = cloud.back_up("pg1-inst")
        time.sleep(rng.uniform(0.0, LATEST))  # the moment is the point of this test
        under_way += cloud.running(operation)
        strike(house, rng)
        check(oracle)
        job = ended_job(cloud, operation)
        jobs[job.name] = job.properties.status
        told = job.properties.error_details
        assert job.properties.status == "Completed" or told, f"{number}: silent failure"
        check(oracle)
        points = [p.name for p in cloud.points("pg1-inst")][::-1]
        if restored.exists():
            shutil.rmtree(restored)
    assert {name: cloud.job(name).properties.status for name in jobs} == jobs
    assert list(jobs.values()).count("Completed") >= kills * 3 // 4
    assert under_way >= kills // 3, "too few kills met a job that was under way"
    postgres.stop()
    shutil.rmtree(postgres.data)
    final = ended_job(
        cloud, cloud.restore("pg1-inst", restore_request(cloud, points[0], postgres.data))
    )
    assert final.properties.status == "Completed"
    postgres.start()
    assert digest(postgres.conninfo) == expected
    until("no partial file", lambda: Path(postgres.data, "PG_VERSION").exists())
    check(oracle, "deep")


def test_a_kill_at_any_moment_leaves_whole_points_and_loud_jobs(
    house: House, postgres: Postgres
) -> None:
    kill_again_and_again(house, postgres, SEED, KILLS)
