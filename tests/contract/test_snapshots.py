"""The settings as rows, laid into another catalogue, on both databases."""

import json

from contract.test_catalog_nouns import a_group, a_policy, a_server, a_vault, an_instance
from seams import FakeClock
from strongroom.catalog import snapshots
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.oversight import approvals
from strongroom.catalog.points import holds, shreds
from strongroom.catalog.protection import deletions, protection
from strongroom.catalog.resources import guards, vaults
from strongroom.catalog.tables.tables import instances
from strongroom.catalog.work import jobs
from strongroom.model.work.job import JobKind, JobStatus

NOW = FakeClock().now()


def filled(database):
    """A vault with an instance, a hold, a deletion and a certificate: every sort of column."""
    with database.writing() as connection:
        a_group(connection)
        vault = a_vault(connection)
        instance = an_instance(
            connection, vault, a_policy(connection, vault), a_server(connection)
        )
        row = {"id": "h" * 32, "instance_id": instance, "point_id": None, "name": "Case"}
        row |= {"name_key": "case", "reason": "", "state": "held", "names": ["g/", "p/"]}
        holds.add(connection, {**row, "set_by": "me", "set_at": NOW})
        deletions.add(connection, ("instance", instance, vault), NOW, NOW, ("me", "o"))
        shreds.add(connection, "gone", vault, NOW, b"\x00\xff certificate")
    return vault, instance


def taken(database):
    """As it comes out of storage: JSON."""
    with database.reading() as connection:
        told = {name: list(rows) for name, rows in snapshots.take(connection, NOW)}
    return json.loads(json.dumps(told))


def test_what_is_laid_into_an_empty_catalogue_is_what_was_taken(make_database):
    first, second = make_database(), make_database()
    for each in (first, second):
        upgrade(each)
    filled(first)
    with second.writing() as connection:
        counts = snapshots.lay(connection, taken(first))
    assert taken(second) == taken(first)
    assert (counts["vaults"], counts["holds"], counts["shreds"]) == (1, 1, 1)
    with second.writing() as connection:
        assert snapshots.lay(connection, taken(first)) == {}


def test_newer_rows_take_the_place_of_older_ones_and_none_goes(make_database):
    first, second = make_database(), make_database()
    for each in (first, second):
        upgrade(each)
        vault, _ = filled(each)
    told = taken(first)
    told["vaults"][0] |= {"tags": {"new": "tag"}, "version": 7}
    del told["holds"][0]
    with second.writing() as connection:
        assert snapshots.lay(connection, told) == {"vaults": 1}
        assert (vaults.by_id(connection, vault)["tags"]) == {"new": "tag"}
        assert holds.get(connection, "h" * 32) is not None


def test_a_name_that_a_newer_thing_has_is_taken_from_the_older_one(database):
    _, instance = filled(database)
    told = taken(database)
    told["instances"][0] = {**told["instances"][0], "id": "f" * 32}
    del told["deletions"], told["holds"]
    with database.writing() as connection:
        snapshots.lay(connection, told)
        rows = {row.id: row.name for row in connection.execute(instances.select())}
    assert rows["f" * 32] == told["instances"][0]["name"]
    assert rows[instance] == f"{told['instances'][0]['name']}-{instance[:8]}"


def test_a_row_of_a_newer_version_is_laid_as_far_as_it_is_known(database):
    filled(database)
    told = taken(database)
    told["vaults"][0] |= {"colour": "blue", "version": 8}
    told["inventions"] = [{"id": 1}]
    with database.writing() as connection:
        assert snapshots.lay(connection, told) == {"vaults": 1}


def a_guard(connection) -> str:
    row = {"id": "9" * 32, "resource_group_key": "rg-1", "name": "G", "name_key": "g"}
    row |= {"location": "here", "tags": {}, "exclusions": [], "delay_hours": 0}
    guards.add(connection, {**row, "version": 1, "created_at": NOW})
    return row["id"]


def test_jobs_that_have_ended_are_kept_and_what_was_approved_is_asked_again(make_database):
    first, second = make_database(), make_database()
    for each in (first, second):
        upgrade(each)
    _, instance = filled(first)
    with first.writing() as connection:
        found = protection.by_id(connection, instance)
        asked = {"rule_name": "r", "tag": "", "user_triggered": True, "requested_by": "me"}
        for job in ("over", "long-over", "running"):
            at = NOW.subtract(hours=1000) if job == "long-over" else NOW
            jobs.add(connection, job, found, JobKind.RESTORE, at, order={}, **asked)
            if job != "running":
                jobs.end(connection, job, JobStatus.COMPLETED, at)
        row = {"guard_id": a_guard(connection), "operation": "o", "scope": "s", "asked": {}}
        row |= {"digest": "d", "asked_by": "me", "asked_at": NOW, "expires_at": NOW.add(hours=8)}
        for each in (approvals.WAITING, approvals.GRANTED, approvals.USED):
            approvals.add(connection, {**row, "id": each, "state": each})
        good = NOW, NOW.add(hours=8)
        approvals.decide(connection, approvals.GRANTED, approvals.GRANTED, ("anna", NOW), good)
    with second.writing() as connection:
        snapshots.lay(connection, taken(first))
        known = [job for job in ("over", "long-over", "running") if jobs.is_known(connection, job)]
        states = {
            each["id"]: (each["state"], each["decided_by"])
            for each in approvals.list_of_guard(connection, row["guard_id"])
        }
    assert known == ["over"]
    assert states == {
        approvals.WAITING: (approvals.WAITING, None),
        approvals.GRANTED: (approvals.WAITING, None),
        approvals.USED: (approvals.USED, None),
    }
    assert "sealed_signature" not in taken(first)["jobs"][0]
