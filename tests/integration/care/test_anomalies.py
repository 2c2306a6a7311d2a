"""C3. Points that look wrong, in every first of a period: no keeper loses its tag or its life, and
the elders of what looks wrong are kept until it is proven, or a person says so.
"""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from whenever import Instant

from care_world import CareWorld, job_of
from integration.care.test_drills import VAULT, facts, held, the_caller
from strongroom.catalog.protection import protection
from strongroom.catalog.tables.tables import policies
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.points.expiry_holds import release_expiry
from strongroom.datastore.statements.receipt import Receipt
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.model.work.job import JobKind
from strongroom.model.work.operation import BackupResult
from strongroom.workflows.backup.commit import record_point, verdict_of
from strongroom.workflows.basis import held_expiry
from strongroom.workflows.basis.locking import extend_point
from strongroom.workflows.care.care import promote_all
from strongroom.workflows.expiry.expire import expire
from worlds import point_id

DAY = 86_400
MIB = 1 << 20
USUAL = BackupResult(
    delta_size=1,
    delta_blake3=b"",
    raw_bytes=400 * MIB,
    read_bytes=20 * MIB,
    stored_bytes=5 * MIB,
    files=1,
    packs=1,
    start_lsn="0/1",
    stop_lsn="0/2",
    timeline=1,
    version_number=150019,
    system_identifier="7000",
    kind="Incremental",
)
ENCRYPTED = msgspec.structs.replace(
    USUAL, raw_bytes=700 * MIB, read_bytes=690 * MIB, stored_bytes=690 * MIB
)
EMPTY = msgspec.structs.replace(USUAL, raw_bytes=30 * MIB, read_bytes=MIB, stored_bytes=MIB // 4)


@dataclass
class Calendar:
    """Backups of a server under the policy of ten years; each is committed as it is reported."""

    world: CareWorld
    count: int = 0

    def back_up(self, result: BackupResult = USUAL, tag: str = "") -> RecoveryPoint:
        """One now; a minute goes by."""
        world, means = self.world, self.world.means
        self.count += 1
        point, job_id = point_id(self.count), job_of(point_id(self.count))
        now = world.clock.now()
        asked = {"rule_name": "BackupDaily", "user_triggered": bool(tag), "requested_by": "x"}
        with world.database.writing() as connection:
            found = protection.by_id(connection, world.instance)
            jobs.add(connection, job_id, found, JobKind.BACKUP, now, tag=tag, order={}, **asked)
            operation = {"id": job_id, "job_id": job_id, "agent_id": found.agent_id}
            operation |= {"kind": "backup", "order": {}, "created_at": now}
            agent_operations.offer(connection, operation)
            told = msgspec.to_builtins(result)
            agent_operations.end(connection, job_id, "completed", result=told)
            job = jobs.get(connection, job_id)
        verdict = verdict_of(means, job, result)
        receipt = Receipt(
            recovery_point_id=point,
            instance_id=world.instance,
            vault="",
            server="",
            taken_at=now.format_iso(),
            committed_at=now.format_iso(),
            tag=verdict.tag,
            expires_at=verdict.expires_at.format_iso(),
            manifest_size=1,
            manifest_blake3=b"",
            packs=[],
        )
        world.blobs.create(f"p/{point}.receipt", means.keyring.signing.sign(receipt))
        record_point(means, job_id, msgspec.to_builtins(receipt))
        with world.database.reading() as connection:
            order = jobs.get(connection, job_id).order
        assert order["tag"] == receipt.tag  # which a schedule does not know before
        assert order["recovery_point_time"] == receipt.taken_at
        world.clock.advance(60)
        return next(each for each in world.points() if each.id == point)

    def day(self, result: BackupResult = USUAL) -> RecoveryPoint:
        """The night's backup; the next one is tomorrow."""
        made = self.back_up(result)
        self.world.clock.advance(DAY - 60)
        return made

    def days(self, count: int) -> list[RecoveryPoint]:
        """With a little change each day, as there is."""
        return [self.day(varied(USUAL, number)) for number in range(count)]

    def prove(self, point: RecoveryPoint) -> None:
        """What follows from a drill that has passed; test_drills.py has one to its end."""
        with self.world.database.writing() as connection:
            now = self.world.clock.now()
            held_expiry.release_proven(connection, self.world.instance, point, now)


def varied(result: BackupResult, number: int) -> BackupResult:
    return msgspec.structs.replace(
        result,
        raw_bytes=result.raw_bytes + number * MIB,
        read_bytes=result.read_bytes + number * 7 % 11 * MIB,
        stored_bytes=result.stored_bytes + number * 5 % 7 * MIB // 4,
    )


@pytest.fixture
def calendar(world: CareWorld) -> Calendar:
    with world.database.writing() as connection:
        text = json.dumps(ten_years_policy())
        connection.execute(policies.update().values(properties=text))
    world.clock.set("2030-01-15T02:00:00Z")
    return Calendar(world)


def strange(world: CareWorld, point: RecoveryPoint) -> list[str]:
    found: list[str] = facts(world, point.id).get("anomalies", [])
    return found


def ending(world: CareWorld) -> dict[str, tuple[bool, str]]:
    return {each.point.id: (each.goes, each.why) for each in expire(world.means, world.instance)}


@pytest.mark.C3
def test_bad_data_in_every_first_of_a_period_takes_no_keeper_its_tag_or_its_life(
    calendar: Calendar,
) -> None:
    """Fifty nights; each first of a week, month and year after the second week is poisoned."""
    world, tags = calendar.world, []
    first = calendar.days(16)
    assert [point.tag for point in first[:2]] == ["Yearly", "Default"]
    for number in range(16, 50):
        now = world.clock.now().to_tz("UTC").date()
        is_first = now.day == 1 or now.day_of_week().value == 7  # of a month, or of a week
        if is_first:
            poisoned = calendar.day(ENCRYPTED if number % 2 else EMPTY)
            assert strange(world, poisoned)
            assert poisoned.tag == "Default"
            continue
        made = calendar.day(varied(USUAL, number))
        assert not strange(world, made)
        tags.append((now.format_iso(), made.tag))
    keepers = [each for each in tags if each[1] != "Default"]
    # The first good one after each poisoned one: Mondays, and the second of a month.
    assert keepers == [
        ("2030-02-02", "Monthly"),
        ("2030-02-04", "Weekly"),
        ("2030-02-11", "Weekly"),
        ("2030-02-18", "Weekly"),
        ("2030-02-25", "Weekly"),
        ("2030-03-02", "Monthly"),
        ("2030-03-04", "Weekly"),
    ]
    assert not any(goes for goes, _ in ending(world).values())


def test_what_looks_wrong_holds_its_elders_and_says_why(calendar: Calendar) -> None:
    world = calendar.world
    elders = calendar.days(10)
    assert held(world) == []
    wrong = calendar.day(ENCRYPTED)
    assert held(world) == [(wrong.id, "anomaly")]
    assert world.audited("expiry/hold") == [wrong.id]
    calendar.days(25)
    over = ending(world)
    assert elders[1].id in over
    goes, why = over[elders[1].id]
    assert not goes
    assert why.startswith(f"expiry is held: recovery point {wrong.id} looks wrong: its size")


def test_a_later_point_that_passes_a_drill_releases_and_the_point_itself_does_not(
    calendar: Calendar,
) -> None:
    world = calendar.world
    calendar.days(10)
    wrong = calendar.day(ENCRYPTED)
    later = calendar.day()
    calendar.prove(wrong)
    assert held(world) == [(wrong.id, "anomaly")]
    assert "accepted" in facts(world, wrong.id)
    calendar.prove(later)
    assert held(world) == []
    assert world.audited("expiry/release") == [wrong.id]


def test_a_new_normal_that_a_person_accepts_is_normal_from_then_on(calendar: Calendar) -> None:
    world = calendar.world
    calendar.days(10)
    grown = msgspec.structs.replace(USUAL, raw_bytes=900 * MIB)
    for _ in range(3):
        assert strange(world, calendar.day(grown))
    assert len(held(world)) == 3
    release_expiry(world.control, the_caller(world), VAULT, "I-1", "")
    assert held(world) == []
    assert not strange(world, calendar.day(grown))


def test_a_tag_that_a_person_asked_for_is_given_and_uses_no_period_up(calendar: Calendar) -> None:
    calendar.days(10)
    calendar.world.clock.set("2030-02-01T02:00:00Z")
    wrong = calendar.back_up(EMPTY, tag="Monthly")
    assert strange(calendar.world, wrong)
    assert wrong.tag == "Monthly"
    assert calendar.back_up().tag == "Monthly"


def test_a_flood_of_points_teaches_nothing_and_is_held(calendar: Calendar) -> None:
    """Each a little larger than the one before: a step at a time it would come to anything."""
    world = calendar.world
    calendar.days(10)
    grown = [
        calendar.back_up(
            msgspec.structs.replace(USUAL, raw_bytes=int(USUAL.raw_bytes * 1.2**step))
        )
        for step in range(30)
    ]
    told = [strange(world, point) for point in grown]
    assert all(told[12:]), "the thirteenth within an hour, and all after it"
    assert held(world)
    assert {point.tag for point in grown[12:]} == {"Default"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"system_identifier": "8000"}, "another server"),
        (
            {"warnings": [{"facts": {"path": "base/5/1", "blocks": [7]}}]},
            "damaged on the server: base/5/1",
        ),
    ],
    ids=["another server", "bad pages"],
)
def test_what_needs_no_statistics_is_told_of_the_second_point(
    calendar: Calendar, changed: dict[str, Any], words: str
) -> None:
    calendar.day()
    wrong = calendar.day(msgspec.structs.replace(USUAL, **changed))
    assert words in strange(calendar.world, wrong)[0]
    assert held(calendar.world) == [(wrong.id, "anomaly")]


def test_a_first_point_is_never_strange(calendar: Calendar) -> None:
    assert strange(calendar.world, calendar.day(ENCRYPTED)) == []


def an_odd_month(calendar: Calendar) -> RecoveryPoint:
    """February's only point."""
    calendar.days(10)
    calendar.world.clock.set("2030-02-01T02:00:00Z")
    odd = calendar.back_up(EMPTY)
    assert strange(calendar.world, odd)
    return odd


def again(world: CareWorld, point: RecoveryPoint) -> RecoveryPoint:
    return next(each for each in world.points() if each.id == point.id)


def lock_of(world: CareWorld, point: RecoveryPoint) -> str | None:
    return world.means.storage.account_view(world.instance).lock(f"p/{point.id}.manifest").until


def test_a_month_whose_only_point_looked_odd_has_its_monthly_point_once_that_passes_a_drill(
    calendar: Calendar,
) -> None:
    world = calendar.world
    odd = an_odd_month(calendar)
    promote_all(world.means)
    assert again(world, odd) == odd
    calendar.prove(odd)
    for _ in range(2):
        promote_all(world.means)
        now = again(world, odd)
        assert (odd.tag, now.tag) == ("Default", "Monthly")
        assert now.expires_at == Instant.from_utc(2031, 3, 1, 2)
        assert Instant.parse_iso(str(lock_of(world, odd))) == now.expires_at
        calendar.prove(odd)
    assert world.audited("recoveryPoint/promote") == [odd.id]
    assert now.facts["promoted"] == "Monthly: the first point of February 2030"
    assert now.facts["promised"] == odd.expires_at.format_iso()
    # The month is used up by it, as by any other.
    assert calendar.back_up().tag == "Default"


def test_a_promotion_that_dies_behind_its_lock_is_finished_and_until_then_nothing_expires(
    calendar: Calendar,
) -> None:
    world = calendar.world
    odd = an_odd_month(calendar)
    calendar.prove(odd)
    extend_point(world.means, world.instance, odd.id, Instant.from_utc(2031, 3, 1, 2))
    world.clock.advance(60 * DAY)
    assert ending(world)[odd.id] == (False, "its tag is decided anew")
    promote_all(world.means)
    assert again(world, odd).tag == "Monthly"
    assert odd.id not in ending(world)


def test_a_person_promotes_all_that_looked_wrong_and_one_period_is_used_up_once(
    calendar: Calendar,
) -> None:
    world = calendar.world
    odd = [an_odd_month(calendar), *(calendar.day(EMPTY) for _ in range(3))]
    release_expiry(world.control, the_caller(world), VAULT, "I-1", "")
    promote_all(world.means)
    told = [(again(world, each).tag, again(world, each).expires_at) for each in odd]
    # The last was taken on a Sunday.
    assert [tag for tag, _ in told] == ["Monthly", "Default", "Default", "Weekly"]
    longer = [ends > each.expires_at for (_, ends), each in zip(told, odd, strict=True)]
    assert longer == [True, False, False, True]


def test_a_drill_of_a_later_point_promotes_no_point_but_itself(calendar: Calendar) -> None:
    world = calendar.world
    odd = an_odd_month(calendar)
    calendar.prove(calendar.back_up())
    promote_all(world.means)
    assert "accepted" in facts(world, odd.id)
    assert (again(world, odd).tag, again(world, odd).expires_at) == (odd.tag, odd.expires_at)
