"""What becomes of a verification: a proof is written to the point, damage to all that need it."""

from collections.abc import Callable
from typing import Any

import msgspec

from care_world import CareWorld
from strongroom.catalog.points import recovery_points
from strongroom.catalog.tables.tables import agent_operations as operations
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.identities import identity
from strongroom.control.points import verifications
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import OWNER, Caller
from strongroom.model.work.job import Job, JobStatus
from strongroom.model.work.verify import Damage, VerifyResult
from strongroom.workflows.proof.verify import verify
from worlds import point_id, small_tree


class _Story:
    """Steps at once; the agent answers while it is waited for."""

    def __init__(self, answer: Callable[[], None]) -> None:
        self._answer = answer

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def wait(self, topic: str, seconds: float) -> None:
        self._answer()


def verified(world: CareWorld, point: str, *damage: Damage) -> Job:
    """A verification to its end; the agent finds this."""
    principals = identity.create_service_principal(
        world.control, "owner", "app", "secret", [(OWNER.id, "/")]
    )
    vault, caller = VaultRef(resource_group="RG-1", name="V-1"), Caller(principal_id=principals)
    verifications.trigger_verification(world.control, caller, vault, "I-1", point, "")
    with world.database.reading() as connection:
        (job,) = jobs.list_running(connection)

    def answer() -> None:
        result = VerifyResult(files=7, checked_bytes=100, fetched_bytes=50, damage=list(damage))
        with world.database.writing() as connection:
            row = agent_operations.get(connection, job)
            assert row is not None
            assert row["order"]["manifestName"] == f"p/{point}.manifest"
            agent_operations.end(connection, job, "completed", result=msgspec.to_builtins(result))

    verify(world.means, _Story(answer), job)  # type: ignore[arg-type]
    return world.job(job)


def facts(world: CareWorld) -> dict[str, dict[str, Any]]:
    return {point.id: point.facts for point in world.points()}


def test_a_proof_is_written_down_and_takes_the_mark_away(world: CareWorld) -> None:
    point, other = world.a_point(1, listed=True), world.a_point(2, listed=True)
    with world.database.writing() as connection:
        for each in (point, other):
            recovery_points.note_facts(connection, each, {"damaged": ["g/x"]})
    job = verified(world, point)
    assert job.status is JobStatus.COMPLETED
    assert job.progress.done_bytes == 100
    found = facts(world)
    assert "damaged" not in found[point]
    assert found[point]["verified_at"] == world.clock.now().format_iso()
    assert found[other] == {"packs": found[other]["packs"], "damaged": ["g/x"]}
    assert world.audited("recoveryPoint/verify") == [point]


def test_damage_is_told_with_its_place_and_of_every_point_that_needs_it(world: CareWorld) -> None:
    point, other = world.a_point(1, listed=True), world.a_point(3, listed=True)
    written = world.written.write(small_tree(1), point)
    world.written.commit(written, point_id(2))
    world._list(point_id(2), 1)
    pack = written.packs[0].name
    problem, place = "frame 3 is not what was written", "base/5/1, block 7"
    damage = Damage(name=pack, problem=problem, places=[place])
    job = verified(world, point_id(2), damage)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error["message"] == (
        f"recovery point {point_id(2)} is damaged: {pack}: {problem}: lost are {place}"
    )
    assert "Take another backup" in job.error["hint"]
    found = facts(world)
    assert found[point_id(2)]["damaged"] == [pack]
    assert "damaged" not in found[point]
    assert "damaged" not in found[other]
    assert "verified_at" not in found[point_id(2)]


def test_a_broken_map_is_damage_that_needs_no_agent(world: CareWorld) -> None:
    for number, kind in ((1, "manifest"), (2, "receipt")):
        point = world.a_point(number, listed=True)
        world.damage(f"p/{point}.{kind}")
        job = verified(world, point)
        assert job.status is JobStatus.FAILED
        assert facts(world)[point]["damaged"] == [f"p/{point}.{kind}"]
        with world.database.reading() as connection:
            asked = connection.execute(operations.select().where(operations.c.id == job.id))
            assert asked.first() is None


def test_what_the_store_reads_otherwise_is_no_proof(world: CareWorld) -> None:
    """The agent was given good bytes once; the disk has had others when it was read again."""
    point = world.a_point(1, listed=True)
    pack = world.names(f"g/{point}/")[0]
    world.damage(pack)
    list(world.means.storage.account_view(world.instance).digests([pack]))
    assert verified(world, point).status is JobStatus.FAILED
    assert facts(world)[point]["damaged"] == [pack]
    world.damage(pack)  # the bit is turned back
    assert verified(world, point).status is JobStatus.COMPLETED
    assert world.means.storage.account_view(world.instance).damaged() == []
