"""What becomes of a drill: signed evidence beside the receipt, a fact of the point, and what is
held until a later point has passed.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from whenever import Instant

from care_world import CareWorld
from strongroom.app.evidence import check_files
from strongroom.catalog.points import expiry_holds
from strongroom.catalog.protection import instances
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.identities import identity
from strongroom.control.points import drills
from strongroom.control.points.expiry_holds import release_expiry
from strongroom.datastore.statements.evidence import Evidence, check_evidence, detail_of
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Conflict, Corrupt, Precondition
from strongroom.model.identities.access import OWNER, Caller
from strongroom.model.work.drill import Answer, Assertion, DrillResult, TableCount
from strongroom.model.work.job import Job, JobStatus
from strongroom.web.api.wire_drills import drill as as_wire
from strongroom.workflows.expiry.expire import expire
from strongroom.workflows.proof.drill import drill

VAULT = VaultRef(resource_group="RG-1", name="V-1")
HOUR = 3600
GOOD = DrillResult(
    source_version=150019,
    server_version="15.19",
    databases=2,
    relations=140,
    indexes=160,
    rows=1234,
    tables=[TableCount(database="shop", table="public.sold", rows=1234)],
    answers=[Answer(name="all is sold", database="shop", answer="true")],
    seconds={"restore": 1.5, "recover": 0.25},
    ready_seconds=1.75,
    written_bytes=1000,
    fetched_bytes=300,
)
BAD = msgspec.structs.replace(GOOD, problems=["database shop: table public.sold: block 3: odd"])


class _Story:
    """Steps at once; the agent answers while it is waited for."""

    def __init__(self, answer: Callable[[], None]) -> None:
        self._answer = answer

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def wait(self, topic: str, seconds: float) -> None:
        self._answer()


def the_caller(world: CareWorld) -> Caller:
    principal = identity.create_service_principal(
        world.control, "owner", "app", "secret", [(OWNER.id, "/")]
    )
    return Caller(principal_id=principal)


def begun(world: CareWorld, point: str, *asked: Assertion) -> str:
    drills.trigger_drill(world.control, the_caller(world), VAULT, ("I-1", point), asked, "")
    with world.database.reading() as connection:
        (job,) = jobs.list_running(connection)
    return job


def drilled(world: CareWorld, point: str, found: DrillResult = GOOD, *asked: Assertion) -> Job:
    """A drill to its end; the agent finds this."""
    job = begun(world, point, *asked)
    carry_out(world, job, found)
    return world.job(job)


def carry_out(world: CareWorld, job: str, found: DrillResult) -> None:
    def answer() -> None:
        with world.database.writing() as connection:
            result = {**msgspec.to_builtins(found), "epoch": 1}
            agent_operations.end(connection, job, "completed", result=result)

    drill(world.means, _Story(answer), job)  # type: ignore[arg-type]


def order_of(world: CareWorld, job: str) -> dict[str, Any]:
    with world.database.reading() as connection:
        row = agent_operations.get(connection, job)
    assert row is not None
    return dict(row["order"])


def facts(world: CareWorld, point: str) -> dict[str, Any]:
    return next(each.facts for each in world.points() if each.id == point)


def evidence_of(world: CareWorld, point: str) -> Evidence:
    name = facts(world, point)["drill"]["evidence"]
    return check_evidence(world.means.keyring.signing.public, world.blobs.read(name))


def held(world: CareWorld) -> list[tuple[str, str]]:
    with world.database.reading() as connection:
        found = expiry_holds.list_of_instance(connection, world.instance)
    return [(each.recovery_point_id, each.kind) for each in found]


def three_points(world: CareWorld) -> list[str]:
    points = []
    for number in (1, 2, 3):
        points.append(world.a_point(number, listed=True))
        world.clock.advance(HOUR)
    return points


def test_what_was_found_is_signed_beside_the_receipt_and_told_by_the_point(
    world: CareWorld,
) -> None:
    point = world.a_point(1, listed=True)
    asked = Assertion(name="all is sold", query="select true", database="shop")
    job = drilled(world, point, GOOD, asked)
    assert job.status is JobStatus.COMPLETED
    assert order_of(world, job.id)["assertions"] == [
        {"name": "all is sold", "query": "select true", "database": "shop"}
    ]
    found = evidence_of(world, point)
    assert (found.recovery_point_id, found.verdict, found.rows) == (point, "Passed", 1234)
    assert (found.assertions, found.assertions_true) == (1, 1)
    assert found.milliseconds == {"restore": 1500, "recover": 250, "ready": 1750}
    assert found.detail_blake3 == detail_of(msgspec.to_builtins(GOOD))
    stored = world.blobs.read(facts(world, point)["drill"]["evidence"])
    assert b"sold" not in stored, "storage learns numbers, not names"
    name = facts(world, point)["drill"]["evidence"]
    locked = world.means.storage.account_view(world.instance).lock(name).until
    assert locked is not None
    assert Instant.parse_iso(locked) >= world.points()[0].expires_at
    assert facts(world, point)["drill"]["readySeconds"] == 1.75
    assert world.audited("recoveryPoint/drill") == [point]
    assert held(world) == []
    (listed,) = drills.list_drills(world.control, the_caller(world), VAULT, "I-1", point)
    assert listed.result["tables"] == [{"database": "shop", "table": "public.sold", "rows": 1234}]


def test_what_is_handed_out_of_a_drill_is_proved_with_the_key_alone(
    world: CareWorld, tmp_path: Path
) -> None:
    point = world.a_point(1, listed=True)
    drilled(world, point)
    (found,) = drills.list_drills(world.control, the_caller(world), VAULT, "I-1", point)
    wire = as_wire(found)
    file = tmp_path / "drills.json"
    file.write_text(json.dumps({"value": [wire]}))
    key = base64.b64encode(world.means.keyring.signing.public.raw).decode()
    (told,) = check_files([file], key)
    assert (told["problem"], told["detail"]) == ("", True)
    assert told["states"]["recovery_point_id"] == point


def test_evidence_that_was_touched_is_not_believed(world: CareWorld) -> None:
    point = world.a_point(1, listed=True)
    drilled(world, point, BAD)
    stored = world.blobs.read(facts(world, point)["drill"]["evidence"])
    public = world.means.keyring.signing.public
    for forged in (stored.replace(b"Failed", b"Passed"), stored + b" ", b"{}"):
        with pytest.raises(Corrupt):
            check_evidence(public, forged)


def test_a_failed_drill_holds_the_elders_until_a_later_point_passes(world: CareWorld) -> None:
    first, second, third = three_points(world)
    job = drilled(world, second, BAD)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "block 3: odd" in job.error["message"]
    assert facts(world, second)["drill"]["verdict"] == "Failed"
    assert held(world) == [(second, "drill")]
    world.clock.advance(998 * HOUR)
    endings = {
        each.point.id: (each.goes, each.why) for each in expire(world.means, world.instance)
    }
    assert endings[first] == (False, f"expiry is held: recovery point {second} failed its drill")
    assert endings[second][0], "it is not good itself, and a good one is there"
    assert drilled(world, third).status is JobStatus.COMPLETED
    assert held(world) == []
    assert world.audited("expiry/release") == [second]
    assert [each.goes for each in expire(world.means, world.instance)] == [True]


def test_a_point_that_failed_and_passes_now_holds_nothing_any_more(world: CareWorld) -> None:
    point = world.a_point(1, listed=True)
    drilled(world, point, BAD)
    drilled(world, point)
    assert facts(world, point)["drill"]["verdict"] == "Passed"
    assert held(world) == []
    found = drills.list_drills(world.control, the_caller(world), VAULT, "I-1")
    assert [each.verdict for each in found] == ["Passed", "Failed"]


def test_the_last_good_point_is_one_that_did_not_fail_its_drill(world: CareWorld) -> None:
    first, second, third = three_points(world)
    drilled(world, third, BAD)
    release_expiry(world.control, the_caller(world), VAULT, "I-1", "")
    world.clock.advance(5000 * HOUR)
    endings = {each.point.id: each.goes for each in expire(world.means, world.instance)}
    assert endings == {first: True, second: False, third: True}


def test_a_person_releases_what_is_held_and_the_audit_says_who(world: CareWorld) -> None:
    point = world.a_point(1, listed=True)
    drilled(world, point, BAD)
    caller = the_caller(world)
    release_expiry(world.control, caller, VAULT, "I-1", "")
    assert held(world) == []
    assert world.audited("expiry/release") == [point]
    with pytest.raises(Precondition):
        release_expiry(world.control, caller, VAULT, "I-1", "")


def test_a_point_whose_map_is_broken_fails_without_an_agent(world: CareWorld) -> None:
    point = world.a_point(1, listed=True)
    world.damage(f"p/{point}.manifest")
    job = begun(world, point)
    carry_out(world, job, GOOD)
    assert world.job(job).status is JobStatus.FAILED
    assert evidence_of(world, point).verdict == "Failed"
    assert held(world) == [(point, "drill")]


def test_what_could_not_be_tried_is_no_verdict(world: CareWorld) -> None:
    point = world.a_point(1, listed=True)
    job = begun(world, point)

    def fail() -> None:
        error = Precondition("no room").to_dict()
        with world.database.writing() as connection:
            agent_operations.end(connection, job, "failed", error=error)

    drill(world.means, _Story(fail), job)  # type: ignore[arg-type]
    assert world.job(job).status is JobStatus.FAILED
    assert "drill" not in facts(world, point)
    assert held(world) == []


def test_one_drill_of_an_instance_at_a_time(world: CareWorld) -> None:
    point = world.a_point(1, listed=True)
    begun(world, point)
    with pytest.raises(Conflict):
        drills.trigger_drill(world.control, the_caller(world), VAULT, ("I-1", point), (), "")


def asked(world: CareWorld) -> bool:
    """Whether the one question to all instances finds this one."""
    with world.database.reading() as connection:
        return world.instance in drills.may_be_due(connection, world.clock.now())


def test_by_policy_the_newest_is_drilled_and_its_elders_in_turn(world: CareWorld) -> None:
    first, second, third = three_points(world)
    assert drills.fire_due_drill(world.control, world.instance) is None, "nobody asked for drills"
    assert not asked(world)
    settings = {"strongroom": {"settings": {"drillDays": 7}}}
    with world.database.writing() as connection:
        instances.change(connection, world.instance, properties=settings)
    seen = []
    for _ in range(4 * 8):  # looks: four a week
        found, before = asked(world), len(seen)
        job = drills.fire_due_drill(world.control, world.instance)
        while job is not None:
            assert drills.fire_due_drill(world.control, world.instance) is None, "one at a time"
            carry_out(world, job, GOOD)
            seen.append(world.job(job).recovery_point_id)
            job = drills.fire_due_drill(world.control, world.instance)
        assert found is (len(seen) > before)
        world.clock.advance(42 * HOUR)
    assert seen[:8] == [third, first, third, second, third, first, third, second]
    assert len(seen) == 16, "the newest and one elder each week"


def test_a_drill_that_could_not_be_done_is_tried_again_the_next_day(world: CareWorld) -> None:
    world.a_point(1, listed=True)
    settings = {"strongroom": {"settings": {"drillDays": 7}}}
    with world.database.writing() as connection:
        instances.change(connection, world.instance, properties=settings)
    job = drills.fire_due_drill(world.control, world.instance)
    assert job is not None
    world.end_job(job, JobStatus.FAILED)
    assert drills.fire_due_drill(world.control, world.instance) is None
    world.clock.advance(24 * HOUR)
    assert asked(world)
    assert drills.fire_due_drill(world.control, world.instance) is not None
