"""What was deleted goes when its time is over; a pass that broke off is finished."""

from dataclasses import replace

import pytest

from care_world import CareWorld
from ports import free_port
from seams import SystemClock
from store_world import KEY
from strongroom.catalog.points import holds, recovery_points
from strongroom.catalog.protection import deletions, instances, protection
from strongroom.catalog.resources import vaults
from strongroom.catalog.tables.tables import metadata
from strongroom.catalog.usage import bills
from strongroom.datastore.care.garbage import Unreadable
from strongroom.datastore.places.container import Container
from strongroom.model.errors import StoreUnavailable
from strongroom.model.oversight.bill import Bill
from strongroom.model.protection.protection_state import SOFT_DELETED
from strongroom.model.resources.soft_delete import SoftDelete
from strongroom.model.work.job import JobStatus
from strongroom.workflows.basis.locking import lock_point
from strongroom.workflows.basis.vault_storage import VaultStorage
from strongroom.workflows.care.measuring import measure
from strongroom.workflows.expiry.expire import expire
from strongroom.workflows.expiry.purge import purge_due, purge_instance, purge_point
from strongroom.workflows.garbage.collect import collect
from strongroom.workflows.proof.census import take_census

DAY = 86_400.0
FORTNIGHT = 14 * DAY


def delete(world: CareWorld, point: str = "", soft: SoftDelete | None = None) -> None:
    """A point, or the instance."""
    now, thing = world.clock.now(), point or world.instance
    purge_at = (soft or SoftDelete()).purge_at(now)
    with world.database.writing() as connection:
        vault = vaults.of_instance(connection, world.instance)["id"]
        kind = "point" if point else "instance"
        deletions.add(connection, (kind, thing, vault), now, purge_at, ("me", "operation"))
        if point:
            recovery_points.set_state(connection, point, recovery_points.SOFT_DELETED)
        else:
            protection.set_state(connection, world.instance, SOFT_DELETED)


def is_deleted(world: CareWorld, thing: str) -> bool:
    with world.database.reading() as connection:
        return deletions.find(connection, thing) is not None


def hold(world: CareWorld, point: str | None) -> str:
    with world.database.writing() as connection:
        row = {"id": "a" * 32, "instance_id": world.instance, "point_id": point, "name": "x"}
        row |= {"name_key": "x", "reason": "", "state": "held", "names": [], "set_by": "me"}
        holds.add(connection, {**row, "set_at": world.clock.now()})
    return str(row["id"])


def release(world: CareWorld, hold_id: str) -> None:
    with world.database.writing() as connection:
        holds.remove(connection, hold_id)


def test_a_point_is_purged_at_the_end_of_its_fortnight_and_its_packs_become_garbage(world):
    first, second = world.a_point(1, listed=True), world.a_point(2, listed=True)
    delete(world, first)
    world.clock.advance(FORTNIGHT - 1)
    purge_due(world.means)
    assert is_deleted(world, first)
    world.clock.advance(1)
    purge_due(world.means)
    assert not is_deleted(world, first)
    assert world.names("p/") == [f"p/{second}.manifest", f"p/{second}.receipt"]
    assert world.audited("recoveryPoint/purge") == [first]
    collect(world.means, world.instance, grace_seconds=DAY)
    world.clock.advance(2 * DAY)
    collect(world.means, world.instance, grace_seconds=DAY)
    assert not world.names(f"g/{first}/")
    assert world.names(f"g/{second}/")


def test_nothing_of_a_point_that_can_be_had_back_is_garbage_and_its_loss_is_damage(world):
    first, _ = world.a_point(1, listed=True), world.a_point(2, listed=True)
    delete(world, first)
    world.clock.advance(3 * DAY)
    packs = world.names("g/")
    for _ in range(2):
        collect(world.means, world.instance, grace_seconds=DAY)
        world.clock.advance(2 * DAY)
    assert world.names("g/") == packs
    world.remove(f"p/{first}.manifest")
    with pytest.raises(Unreadable):
        collect(world.means, world.instance, grace_seconds=DAY)


def test_two_days_before_they_go_somebody_is_told_once(world):
    point = world.a_point(1, listed=True)
    delete(world, point)
    world.clock.advance(12 * DAY - 1)
    purge_due(world.means)
    assert world.audited("purge/upcoming") == []
    world.clock.advance(1)
    for _ in range(2):
        purge_due(world.means)
    assert world.audited("purge/upcoming") == [point]


def test_a_hold_outlasts_the_fortnight_of_a_point_and_of_an_instance(world):
    point = world.a_point(1, listed=True)
    world.a_point(2, listed=True)
    delete(world, point)
    held = hold(world, point)
    world.clock.advance(20 * DAY)
    assert not purge_point(world.means, point)
    assert f"p/{point}.receipt" in world.names("p/")
    delete(world)
    world.clock.advance(20 * DAY)
    assert not purge_instance(world.means, world.instance)
    assert len(world.names("p/")) == 4
    release(world, held)
    purge_due(world.means)
    assert world.instance not in world.means.storage.containers()


def test_nothing_of_a_held_instance_ends_by_age_and_of_a_held_point_only_it_stays(world):
    points = []
    for number in (1, 2, 3):
        points.append(world.a_point(number, listed=True))
        world.clock.advance(3600)
    world.clock.advance(1000 * 3600)
    held = hold(world, None)
    assert not any(each.goes for each in expire(world.means, world.instance))
    release(world, held)
    hold(world, points[0])
    gone = {each.point.id for each in expire(world.means, world.instance) if each.goes}
    assert gone == {points[1]}


def test_an_instance_goes_with_everything_and_the_audit_stays(world):
    world.a_point(1, listed=True)
    world.a_job(1, JobStatus.FAILED)
    world.blobs.create("g/9/nobody.pack", b"x")
    delete(world)
    world.clock.advance(FORTNIGHT)
    purge_due(world.means)
    assert world.instance not in world.means.storage.containers()
    with world.database.reading() as connection:
        assert instances.list_ids(connection) == []
        for table in metadata.sorted_tables:
            for key in table.foreign_keys:
                if key.column.table.name == "instances":
                    assert connection.execute(table.select()).all() == [], table.name
    assert world.audited("instance/purge") == [world.instance]
    assert world.audited("instance/shred") == [world.instance]


def test_a_vault_goes_after_its_instances_with_its_policies_and_its_identity(world):
    world.a_point(1, listed=True)
    delete(world)
    with world.database.writing() as connection:
        vault = vaults.of_instance(connection, world.instance)
        now = world.clock.now()
        by = ("me", "operation")
        deletions.add(connection, ("vault", vault["id"], vault["id"]), now, now, by)
        vaults.hide(connection, vault)
    purge_due(world.means)
    with world.database.reading() as connection:
        assert vaults.by_id(connection, vault["id"]) is not None
    world.clock.advance(FORTNIGHT)
    purge_due(world.means)
    with world.database.reading() as connection:
        for table in ("vaults", "policies", "instances", "principals", "deletions"):
            assert connection.execute(metadata.tables[table].select()).all() == [], table
    assert world.audited("vault/purge") == [vault["id"]]


def test_while_it_is_deleted_nothing_of_an_instance_ends_by_age(world):
    point = world.a_point(1, listed=True)
    world.a_point(2, listed=True)
    delete(world, soft=SoftDelete("On", 180))
    world.clock.advance(1001 * 3600)
    assert [each.goes for each in expire(world.means, world.instance)] == [False, False]
    assert f"p/{point}.manifest" in world.names("p/")


def test_nothing_is_purged_while_a_job_may_need_it(world):
    point = world.a_point(1, listed=True)
    job = world.a_job(2, JobStatus.IN_PROGRESS)
    delete(world, point, SoftDelete("Off"))
    purge_due(world.means)
    assert f"p/{point}.receipt" in world.names("p/")
    world.end_job(job, JobStatus.FAILED)
    purge_due(world.means)
    assert world.names("p/") == []


def test_what_an_immutable_vault_keeps_is_not_purged_before_it_ends(world):
    point = world.a_point(1, listed=True)
    delete(world)
    world.say_immutable("Unlocked")
    world.clock.advance(FORTNIGHT)
    assert not purge_instance(world.means, world.instance)
    assert f"p/{point}.receipt" in world.names("p/")
    world.say_immutable("Disabled")
    assert purge_instance(world.means, world.instance)


def test_the_months_of_an_instance_stay_as_they_were_when_it_is_purged(world):
    world.a_point(1, listed=True)
    for _ in range(3):
        measure(world.means, world.instance)
        world.clock.advance(20 * DAY)
    measure(world.means, world.instance)
    before = noted_bills(world)
    assert [each.closed for each in before] == [False, *[True] * (len(before) - 1)]
    assert len(before) >= 2
    assert all(each.unit_months > 0 and each.gb_months > 0 for each in before)
    delete(world)
    assert purge_instance(world.means, world.instance)
    after = noted_bills(world)
    assert after[1:] == before[1:]
    assert (after[0].total, after[0].closed) == (before[0].total, True)


def noted_bills(world: CareWorld) -> list[Bill]:
    with world.database.reading() as connection:
        return bills.since(connection, "")


def test_what_storage_keeps_is_asked_for_again_and_the_catalogue_forgets_it_last(world):
    point = world.a_point(1, listed=True)
    ends = world.clock.now().add(hours=9000)
    lock_point(world.means, world.instance, point, {point}, ends)
    world.say_immutable("Unlocked")
    delete(world)
    world.clock.advance(1001 * 3600)
    assert not purge_instance(world.means, world.instance)
    assert f"p/{point}.receipt" in world.names("p/")
    assert is_deleted(world, world.instance)
    world.say_immutable("Disabled")
    assert purge_instance(world.means, world.instance)
    assert world.audited("instance/purge") == [world.instance]


def test_a_purge_that_broke_off_is_finished_and_no_census_finds_its_points_again(world):
    first = world.a_point(1, listed=True)
    world.a_point(2, listed=True)
    delete(world, first)
    world.clock.advance(FORTNIGHT)
    nowhere = VaultStorage(f"http://127.0.0.1:{free_port()}/strongroom", KEY, SystemClock())
    with pytest.raises(StoreUnavailable):
        purge_point(replace(world.means, storage=nowhere), first)
    assert take_census(world.means, world.instance) == []
    world.remove(f"p/{first}.receipt")
    assert purge_point(world.means, first)
    assert f"p/{first}.manifest" not in world.names("p/")
    assert world.audited("recoveryPoint/purge") == [first]
    assert purge_point(world.means, first)


class Flaky(VaultStorage):
    """Deletes one object a call; the answer to it is lost."""

    def account_view(self, instance_id: str) -> Container:
        found = super().account_view(instance_id)
        there = {name for name, _ in self.container(instance_id).list("")}
        delete = found.delete

        def lose_the_answer(name: str) -> bool:
            gone = delete(name)
            if gone and name in there:
                raise StoreUnavailable("the answer was lost")
            return gone

        found.delete = lose_the_answer
        return found


def test_broken_off_after_any_object_a_purge_goes_on_and_leaves_no_damage_meanwhile(world):
    points = [world.a_point(number, listed=True) for number in (1, 2)]
    world.blobs.create("g/9/nobody.pack", b"x")
    delete(world)
    world.clock.advance(FORTNIGHT)
    flaky = replace(world.means, storage=Flaky(world.store.url, KEY, SystemClock()))
    objects = len(world.names())
    for number in range(objects):
        with pytest.raises(StoreUnavailable):
            purge_instance(flaky, world.instance)
        left = world.names("p/")
        assert len(world.names()) == objects - number - 1
        for point in points:
            assert f"p/{point}.receipt" not in left or f"p/{point}.manifest" in left
        assert take_census(world.means, world.instance) == []
    assert purge_instance(flaky, world.instance)
    assert purge_instance(flaky, world.instance)
    assert world.audited("instance/purge") == [world.instance]
    assert world.audited("receipt/quarantine") == []


def test_a_pass_in_which_storage_is_away_says_so_and_holds_up_no_other(world):
    point = world.a_point(1, listed=True)
    delete(world, point)
    world.clock.advance(FORTNIGHT)
    nowhere = VaultStorage(f"http://127.0.0.1:{free_port()}/strongroom", KEY, SystemClock())
    purge_due(replace(world.means, storage=nowhere))
    assert is_deleted(world, point)
    purge_due(world.means)
    assert not is_deleted(world, point)
