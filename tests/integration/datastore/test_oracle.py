"""The oracle is content with a true world, and names each invariant that is broken in it."""

import base64
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from oracle import INVARIANTS, Depth, Violated, check
from oracle.bytes_of import form_of
from small_house import POINT, SCOPE, SECRET, START, SmallHouse, small_house
from strongroom.catalog.tables import tables
from worlds import point_id, small_tree

Break = Callable[[SmallHouse], object]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    with small_house(tmp_path) as found:
        check(found.watched, "deep")
        yield found


def test_a_true_world_is_a_true_world_again(house: SmallHouse) -> None:
    check(house.watched, "fast")
    check(house.watched, "deep")


def lose_a_pack(house: SmallHouse) -> None:
    del house.objects[house.pack()]


def spoil_in_secret(house: SmallHouse) -> None:
    house.alter(house.pack())
    house.watched.altered.clear()


def swap_the_tree(house: SmallHouse) -> None:
    house.watched.trees[POINT] = {**small_tree(), "PG_VERSION": b"17\n"}


def forget_a_file(house: SmallHouse) -> None:
    house.watched.trees[POINT] = {**small_tree(), "base/1/9999": b"also here"}


def list_what_is_not_there(house: SmallHouse) -> None:
    del house.objects[f"p/{POINT}.receipt"]


def go_back(house: SmallHouse) -> None:
    house.change(tables.jobs, status="InProgress", ended_at=None)


def stand_still(house: SmallHouse) -> None:
    house.add_job(status="InProgress", ended_at=None, recovery_point_id=None)
    house.world.clock.advance(2 * 24 * 3600)


def fail_silently(house: SmallHouse) -> None:
    house.add_job(status="Failed", error=None, recovery_point_id=None)


def fail_without_a_hint(house: SmallHouse) -> None:
    error = {"code": "StoreFull", "message": "full", "hint": ""}
    house.add_job(status="Failed", error=error, recovery_point_id=None)


def leave_a_step_open(house: SmallHouse) -> None:
    house.change(tables.jobs, sub_tasks=[{"name": "Verify storage", "status": "InProgress"}])


def complete_without_a_point(house: SmallHouse) -> None:
    house.add_job(recovery_point_id=point_id(2))


def overwrite(house: SmallHouse) -> None:
    name = next(name for name in house.objects if name.startswith("d/"))
    house.objects[name] += b"more"


def shorten_the_row(house: SmallHouse) -> None:
    house.change(tables.recovery_points, expires_at=house.world.clock.now().add(hours=24))


def lengthen_the_policy(house: SmallHouse) -> None:
    """As if the point had been committed with too short a life."""
    with house.database.writing() as connection:
        text = house.watched.book()["policies"][0]["properties"].replace("P31D", "P1M2W")
        connection.execute(tables.policies.update().values(properties=text))


def let_a_point_go(house: SmallHouse) -> None:
    house.remove(tables.recovery_points)


def shrink_a_lock(house: SmallHouse) -> None:
    house.world.locks["g/"] -= timedelta(days=1)


def leave_a_pack_unlocked(house: SmallHouse) -> None:
    house.watched.memory.locks.clear()
    del house.world.locks["g/"]


def lock_a_manifest_too_short(house: SmallHouse) -> None:
    house.watched.memory.locks.clear()
    house.world.locks["p/"] = house.watched.now()


def hold_what_nobody_knows_of(house: SmallHouse) -> None:
    house.world.holds.add(("p/", "a" * 32))


def forget_a_hold_in_storage(house: SmallHouse) -> None:
    house.hold(["k/", f"p/{POINT}.receipt"])
    house.world.holds.remove(("k/", house.HOLD))


def purge_within_a_fortnight(house: SmallHouse) -> None:
    house.purge(days=13)


def purge_what_nobody_deleted(house: SmallHouse) -> None:
    house.record("recoveryPoint/purge", POINT, {"deleted": START.format_iso()})
    house.remove_point()


def purge_what_is_held(house: SmallHouse) -> None:
    told = {"point": "all, and those to come", "reason": ""}
    house.record("hold/set", f"{SCOPE}/backupInstances/i/legalHolds/x", told)
    house.purge(days=15)


def end_before_its_time(house: SmallHouse) -> None:
    house.record("recoveryPoint/expire", POINT, {})


def log_a_secret(house: SmallHouse) -> None:
    with house.log.open("ab") as file:
        file.write(b"client secret is " + SECRET + b"\n")


def log_a_signature(house: SmallHouse) -> None:
    with house.log.open("a") as file:
        file.write("PUT /g/1?sv=2025&sig=abcdefghijklmnopqrstuvwxyz%3D\n")


def write_a_secret_into_a_row(house: SmallHouse) -> None:
    house.change(tables.jobs, order={"conninfo": f"password={SECRET.decode()}"})


def leave_a_key_at_the_agent(house: SmallHouse) -> None:
    key = house.world.keys.data.to_bytes()
    (house.home / "agent" / "cache").write_bytes(b"key " + base64.b64encode(key))


def blind_the_scrub(house: SmallHouse) -> None:
    house.alter(house.pack())
    house.watched.scrub = lambda door, point: set()


def cry_wolf(house: SmallHouse) -> None:
    house.watched.scrub = lambda door, point: {house.pack()}


def blind_the_reader(house: SmallHouse) -> None:
    house.alter(house.pack())
    house.watched.reader = lambda door, point: True


def refuse_to_read(house: SmallHouse) -> None:
    house.watched.reader = lambda door, point: False


def repeat_and_change(house: SmallHouse) -> None:
    house.watched.expected = form_of(house.watched.look(deep=True))
    house.world.back_up(small_tree(), point_id(2))
    house.watched.trees[point_id(2)] = small_tree()


def repeat_and_change_a_job(house: SmallHouse) -> None:
    house.watched.expected = form_of(house.watched.look(deep=True))
    house.add_job(status="InProgress", ended_at=None, recovery_point_id=None)


def slip_in_a_file(house: SmallHouse) -> None:
    house.objects["notes.txt"] = b"who put this here?"


def slip_in_a_generation(house: SmallHouse) -> None:
    house.objects[f"g/{point_id(9)}/{POINT[:8]}-0000-0000-0000-000000000000.pack"] = b"x"


def commit_in_secret(house: SmallHouse) -> None:
    house.world.back_up(small_tree(), point_id(2))
    house.watched.trees[point_id(2)] = small_tree()


def tell_another_tag(house: SmallHouse) -> None:
    house.change(tables.recovery_points, tag="Weekly")


def edit_the_audit(house: SmallHouse) -> None:
    with house.database.writing() as connection:
        third = tables.audit.c.sequence == 3
        connection.execute(tables.audit.update().where(third).values(actor="nobody"))


def cut_the_audit(house: SmallHouse) -> None:
    with house.database.writing() as connection:
        connection.execute(tables.audit.delete().where(tables.audit.c.sequence == 1))


def fail_without_a_record(house: SmallHouse) -> None:
    with house.database.writing() as connection:
        error = {"code": "StoreFull", "message": "full", "hint": "free space"}
        row = dict(connection.execute(tables.jobs.select()).mappings().one())
        row |= {"id": "other", "status": "Failed", "error": error, "recovery_point_id": None}
        connection.execute(tables.jobs.insert().values(**row))


def make_a_group_without_a_record(house: SmallHouse) -> None:
    with house.database.writing() as connection:
        row = {"name": "dark", "name_key": "dark", "location": "local", "tags": {}}
        connection.execute(
            tables.resource_groups.insert().values(**row, created_at=house.world.clock.now())
        )


CASES: list[tuple[str, Depth, Break]] = [
    ("I1", "fast", lose_a_pack),
    ("I1", "fast", spoil_in_secret),
    ("I1", "deep", swap_the_tree),
    ("I1", "deep", forget_a_file),
    ("I2", "fast", list_what_is_not_there),
    ("I2", "fast", go_back),
    ("I2", "fast", stand_still),
    ("I2", "fast", fail_silently),
    ("I2", "fast", fail_without_a_hint),
    ("I2", "fast", leave_a_step_open),
    ("I2", "fast", complete_without_a_point),
    ("I3", "fast", overwrite),
    ("I3", "fast", lose_a_pack),
    ("I3", "fast", spoil_in_secret),
    ("I4", "fast", shorten_the_row),
    ("I4", "fast", lengthen_the_policy),
    ("I4", "fast", let_a_point_go),
    ("I5", "fast", shrink_a_lock),
    ("I5", "fast", leave_a_pack_unlocked),
    ("I5", "fast", lock_a_manifest_too_short),
    ("I5", "fast", hold_what_nobody_knows_of),
    ("I5", "fast", forget_a_hold_in_storage),
    ("I4", "fast", purge_within_a_fortnight),
    ("I4", "fast", purge_what_nobody_deleted),
    ("I4", "fast", purge_what_is_held),
    ("I4", "fast", end_before_its_time),
    ("I6", "fast", log_a_secret),
    ("I6", "fast", log_a_signature),
    ("I6", "deep", write_a_secret_into_a_row),
    ("I6", "deep", leave_a_key_at_the_agent),
    ("I7", "deep", blind_the_scrub),
    ("I7", "deep", cry_wolf),
    ("I7", "deep", blind_the_reader),
    ("I7", "deep", refuse_to_read),
    ("I8", "deep", repeat_and_change),
    ("I8", "deep", repeat_and_change_a_job),
    ("I9", "fast", slip_in_a_file),
    ("I9", "fast", slip_in_a_generation),
    ("I9", "fast", commit_in_secret),
    ("I9", "fast", tell_another_tag),
    ("I10", "fast", edit_the_audit),
    ("I10", "fast", cut_the_audit),
    ("I10", "fast", fail_without_a_record),
    ("I10", "fast", make_a_group_without_a_record),
]


@pytest.mark.parametrize(
    ("name", "depth", "spoil"), CASES, ids=[f"{name}-{spoil.__name__}" for name, _, spoil in CASES]
)
def test_what_is_broken_is_called_by_its_name(
    house: SmallHouse, name: str, depth: Depth, spoil: Break
) -> None:
    spoil(house)
    with pytest.raises(Violated) as caught:
        check(house.watched, depth)
    assert name in caught.value.names


def test_every_invariant_is_broken_once() -> None:
    assert {name for name, _, _ in CASES} == set(INVARIANTS)


def test_open_damage_that_scrub_and_reader_see_is_no_violation(house: SmallHouse) -> None:
    house.alter(house.pack())
    check(house.watched, "deep")


def test_what_was_purged_after_its_fortnight_is_no_violation(house: SmallHouse) -> None:
    house.hold(["k/", f"p/{POINT}.receipt"])
    check(house.watched, "deep")
    house.release()
    house.purge(days=14)
    check(house.watched, "deep")


def test_what_a_broken_off_job_left_is_accounted_for(house: SmallHouse) -> None:
    error = {"code": "StoreFull", "message": "full", "hint": "free space"}
    job = "00000000-0000-0000-0000-000000000002"
    house.add_job(id=job, status="Failed", error=error, recovery_point_id=None)
    house.world.write(small_tree(), job.replace("-", ""))
    check(house.watched, "deep")


def test_a_point_that_is_just_being_recorded_is_no_violation(house: SmallHouse) -> None:
    house.add_job(status="InProgress", ended_at=None, recovery_point_id=None)
    house.world.back_up(small_tree(), point_id(2))
    house.watched.trees[point_id(2)] = small_tree()
    check(house.watched, "deep")


def test_a_repeated_step_that_changes_nothing_is_safe_twice(house: SmallHouse) -> None:
    house.watched.expected = form_of(house.watched.look(deep=True))
    check(house.watched, "deep")
