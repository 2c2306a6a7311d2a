"""A second copy may lack what was on its way: it is not offered, and nothing leans on it."""

from dataclasses import replace
from functools import partial

import pytest
from structlog.testing import capture_logs

from care_world import CareWorld
from ports import free_port
from seams import SystemClock
from store_world import KEY
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs
from strongroom.control.basis.control import Second
from strongroom.model.work.job import JobStatus
from strongroom.workflows.backup.parents import Choice, choose_parent
from strongroom.workflows.basis.vault_storage import SecondStorage
from strongroom.workflows.care.second_copy import watch_second, whole_points


def whole(world: CareWorld, instance: str = "") -> set[str]:
    second = SecondStorage(world.store.url, KEY, SystemClock())
    verify = world.means.keyring.signing.public
    return whole_points(second, verify, instance or world.instance)


def choose(world: CareWorld, number: int) -> Choice:
    job_id = world.a_job(number, JobStatus.COMPLETED)
    with world.database.reading() as connection:
        job, found = jobs.get(connection, job_id), protection.by_id(connection, world.instance)
    return choose_parent(world.means, job, found)


@pytest.mark.parametrize("what", ["pack", "manifest", "receipt"])
def test_a_point_that_lacks_anything_is_not_one_that_can_be_restored_from(world, what):
    point, other = world.a_point(1), world.a_point(2)
    assert whole(world) == {point, other}
    receipt = world.means.keyring.signing.public.check(world.blobs.read(f"p/{point}.receipt"))
    world.remove(receipt.packs[0].name if what == "pack" else f"p/{point}.{what}")
    assert whole(world) == {other}
    assert whole(world, "f" * 32) == set()


def test_a_receipt_that_is_not_ours_makes_no_point(world):
    point = world.a_point(1)
    world.damage(f"p/{point}.receipt")
    assert whole(world) == set()


def test_a_backup_leans_on_no_point_that_never_came_over_and_says_why(world):
    point = world.a_point(1, listed=True)
    with world.database.writing() as connection:
        recovery_points.note_facts(connection, point, {"system_identifier": "1"})
    parent = choose(world, 11).parent
    assert parent is not None
    assert parent.recovery_point_id == point
    with world.database.writing() as connection:
        recovery_points.note_facts(connection, point, {"damaged": ["g/1/lost.pack"]})
    assert choose(world, 12) == Choice(
        why_full=f"the last point {point} is damaged: nothing leans on it"
    )
    with world.database.writing() as connection:
        recovery_points.note_facts(connection, point, {"damaged": None})
    world.remove(f"p/{point}.manifest")
    told = choose(world, 13)
    assert told.parent is None
    assert told.why_full.startswith(f"the last point {point} cannot be read: ")


def test_a_copy_that_lags_or_is_away_is_told_of_in_the_log_and_a_good_one_is_not(world):
    for url, told, expected in (
        ("", {"lagSeconds": 60}, ""),
        ("", {"lagSeconds": 90_000}, "1500 min behind"),
        (f"http://127.0.0.1:{free_port()}/strongroom", {}, "the second endpoint cannot be asked"),
    ):
        away = SecondStorage(url, KEY, SystemClock())
        asked = away.told if url else partial(dict, told)
        second = Second("local2", lambda instance: set(), away.access, asked)
        control = replace(world.means.control, second=second)
        with capture_logs() as logs:
            assert watch_second(replace(world.means, control=control)).startswith(expected)
        assert [each["event"] for each in logs] == (["second.trouble"] if expected else [])
    assert watch_second(world.means) == ""
