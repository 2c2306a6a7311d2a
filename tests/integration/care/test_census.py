"""A point whose receipt lies in storage is listed, whatever its job was told; others are not."""

import json

from whenever import Instant

from care_world import LIFE_HOURS, CareWorld, job_of
from seams import SeededChance
from strongroom.catalog.points import storage_findings
from strongroom.catalog.tables.tables import policies
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.model.work.job import JobStatus
from strongroom.workflows.basis.locking import lock_point
from strongroom.workflows.proof.census import take_census, take_due
from worlds import point_id, small_tree


def quarantined(world: CareWorld) -> dict[str, str]:
    with world.database.reading() as connection:
        found = storage_findings.list_of_instance(connection, world.instance)
    return {row["name"]: row["problem"] for row in found if row["kind"] == "quarantined"}


def test_a_point_whose_commit_was_never_answered_is_listed_and_its_job_stays_failed(
    world: CareWorld,
) -> None:
    point = world.a_point(1)
    job = world.a_job(1)
    assert take_due(world.means) == [point]
    (listed,) = world.points()
    assert (listed.id, listed.job_id, listed.tag) == (point, job, "Daily")
    assert listed.facts["version_number"] == 180001
    assert listed.raw_bytes == sum(len(content) for content in small_tree(1).values())
    assert listed.stored_bytes == sum(size for _, size in world.blobs.list("g/"))
    assert world.job(job).status is JobStatus.FAILED
    assert world.audited("recoveryPoint/adopt") == [point]
    assert quarantined(world) == {}


def test_a_point_whose_end_was_made_later_comes_back_with_the_end_of_its_lock(
    world: CareWorld,
) -> None:
    plain, longer = world.a_point(1), world.a_point(2)
    signed = world.clock.now().add(hours=LIFE_HOURS)
    until = signed.add(hours=24 * 400)
    for point, end in ((plain, signed), (longer, until)):
        lock_point(world.means, world.instance, point, {point}, end)
    take_census(world.means, world.instance)
    ends = {point.id: point.expires_at for point in world.points()}
    assert ends == {plain: signed, longer: until}


def test_a_point_that_was_promoted_comes_back_with_the_tag_that_its_lock_tells_of(
    world: CareWorld,
) -> None:
    with world.database.writing() as connection:
        text = json.dumps(ten_years_policy())
        connection.execute(policies.update().values(properties=text))
    plain, promoted = world.a_point(1), world.a_point(2)
    raw = world.blobs.read(f"p/{promoted}.receipt")
    taken = Instant.parse_iso(world.means.keyring.signing.public.check(raw).taken_at)
    until = taken.to_tz("UTC").add(years=10).to_instant()
    lock_point(world.means, world.instance, promoted, {promoted}, until)
    take_census(world.means, world.instance)
    assert {point.id: point.tag for point in world.points()} == {
        plain: "Daily",
        promoted: "Yearly",
    }


def test_a_census_twice_adopts_once(world: CareWorld) -> None:
    point = world.a_point(1)
    assert take_census(world.means, world.instance) == [point]
    assert take_census(world.means, world.instance) == []
    assert world.audited("recoveryPoint/adopt") == [point]


def test_the_receipt_of_a_job_under_way_is_left_to_its_job(world: CareWorld) -> None:
    world.a_point(1)
    job = world.a_job(1, JobStatus.IN_PROGRESS)
    assert take_census(world.means, world.instance) == []
    world.end_job(job, JobStatus.FAILED)
    assert take_due(world.means) == [point_id(1)]


def test_a_census_is_due_once_a_day_and_after_each_failed_backup(world: CareWorld) -> None:
    assert take_due(world.means) == []
    point = world.a_point(1)
    world.clock.advance(3600)
    assert take_due(world.means) == []
    world.a_job(1)
    world.clock.advance(1)
    assert take_due(world.means) == [point]
    other = world.a_point(2)
    world.clock.advance(3600)
    assert take_due(world.means) == []
    world.clock.advance(86_400)
    assert take_due(world.means) == [other]


def test_a_receipt_of_a_foreign_signature_is_quarantined(world: CareWorld) -> None:
    own = world.written.keys.signing
    foreign = SigningKey(SeededChance(99).bytes(32))
    object.__setattr__(world.written.keys, "signing", foreign)
    point = world.a_point(1)
    object.__setattr__(world.written.keys, "signing", own)
    assert take_census(world.means, world.instance) == []
    assert world.points() == []
    assert list(quarantined(world)) == [f"p/{point}.receipt"]
    take_census(world.means, world.instance)
    assert world.audited("receipt/quarantine") == [f"p/{point}.receipt"]


def test_a_receipt_without_its_manifest_is_quarantined(world: CareWorld) -> None:
    point = world.a_point(1)
    world.remove(f"p/{point}.manifest")
    assert take_census(world.means, world.instance) == []
    assert world.points() == []
    assert "manifest" in quarantined(world)[f"p/{point}.receipt"]


def test_a_receipt_whose_manifest_is_another_is_quarantined(world: CareWorld) -> None:
    point = world.a_point(1)
    world.remove(f"p/{point}.manifest")
    world.blobs.create(f"p/{point}.manifest", b"something else")
    assert take_census(world.means, world.instance) == []
    assert list(quarantined(world)) == [f"p/{point}.receipt"]


def test_a_receipt_whose_pack_is_missing_or_damaged_is_quarantined(world: CareWorld) -> None:
    missing, damaged, whole = (world.a_point(number) for number in (1, 2, 3))
    world.remove(world.names(f"g/{missing}/")[0])
    world.damage(world.names(f"g/{damaged}/")[0])
    assert take_census(world.means, world.instance) == [whole]
    assert set(quarantined(world)) == {f"p/{missing}.receipt", f"p/{damaged}.receipt"}


def test_a_receipt_under_another_points_name_is_quarantined(world: CareWorld) -> None:
    point = world.a_point(1)
    other = point_id(9)
    world.blobs.create(f"p/{other}.receipt", world.blobs.read(f"p/{point}.receipt"))
    assert take_census(world.means, world.instance) == [point]
    assert list(quarantined(world)) == [f"p/{other}.receipt"]


def test_what_was_mended_leaves_the_quarantine(world: CareWorld) -> None:
    point = world.a_point(1)
    stored = world.blobs.read(f"p/{point}.manifest")
    world.remove(f"p/{point}.manifest")
    take_census(world.means, world.instance)
    world.blobs.create(f"p/{point}.manifest", stored)
    assert take_census(world.means, world.instance) == [point]
    assert quarantined(world) == {}
    assert world.points()[0].job_id == job_of(point)
