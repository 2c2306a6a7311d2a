"""What the portal, its alerts, metrics and reports ask of the catalogue, on both databases."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from whenever import Date, Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.identities import sessions
from strongroom.catalog.oversight import alerts, digests, metrics, reports, subjects
from strongroom.catalog.points import censuses, finding, horizons, storage_findings
from strongroom.catalog.points import recovery_points as recovery_point_rows
from strongroom.catalog.protection import fleet, instance_keys, removal
from strongroom.catalog.tables.tables import (
    agents,
    drills,
    instances,
    jobs,
    policies,
    principals,
    recovery_points,
    resource_groups,
    servers,
    vaults,
)
from strongroom.catalog.usage import bills, costs, usage
from strongroom.catalog.work import job_samples
from strongroom.model.ids import InstanceId
from strongroom.model.oversight.alert import GRAVE, Cause
from strongroom.model.oversight.bill import bills_until
from strongroom.model.oversight.cost import GB, Day, PriceSheet
from strongroom.model.points.recovery_point import Shelf
from strongroom.model.points.usage import Share, Usage
from strongroom.model.work.operation import Progress

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
SIZE = 3 << 40  # more than 32 bits hold


def fill(connection: sa.Connection) -> None:
    """One instance with two points, a failed job, a drill; and a server that nothing protects."""
    made = {"created_at": NOW}
    named: dict[str, Any] = {"name": "v", "name_key": "v", **made}
    place = {"location": "local", "tags": {"team": "a"}}
    connection.execute(resource_groups.insert().values(**named, **place))
    who = {"id": "p", "kind": "vault", "display_name": "v", **made}
    connection.execute(principals.insert().values(**who))
    home = {"id": "v", "resource_group_key": "v", "principal_id": "p", "state": "Succeeded"}
    stores = {"storageSettings": [{"type": "GeoRedundant"}]}
    connection.execute(
        vaults.insert().values(**home, **named, **place, properties=stores, version=1)
    )
    text = {"id": "pol", "vault_id": "v", "properties": "{}", "version": 1}
    connection.execute(policies.insert().values(**text, **named))
    agent = {"id": "a", "name": "a", "token_hash": "x", "version": "1"}
    connection.execute(agents.insert().values(**agent, enrolled_at=NOW, seen_at=NOW))
    for name in ("pg1", "pg2"):
        server = {"id": name, "resource_group_key": "v", "name": name, "name_key": name, **place}
        server |= {"agent_id": "a", "agent_server": name, **made}
        facts = {"versionNumber": 180001, "sizeBytes": SIZE} if name == "pg1" else {}
        connection.execute(servers.insert().values(**server, facts=facts))
    one = {"id": "i", "vault_id": "v", "server_id": "pg1", "policy_id": "pol", "properties": {}}
    one |= {"tags": {"team": "a"}, "state": "ProtectionConfigured", **named}
    connection.execute(instances.insert().values(**one))
    for number, kind in ((1, "Full"), (2, "Incremental")):
        at = NOW.subtract(hours=24 * number)
        point = {
            "id": f"r{number}",
            "instance_id": "i",
            "job_id": "j",
            "kind": kind,
            "tag": "Weekly",
        }
        point |= {"taken_at": at, "committed_at": at, "expires_at": NOW, "policy_id": "pol"}
        point |= {
            "tag": "Weekly",
            "policy_version": 1,
            "generation": "g",
            "manifest_size": 1,
            "facts": {"databases": {"shop": SIZE}},
        }
        point |= {"manifest_blake3": b"x", "raw_bytes": SIZE, "stored_bytes": 7 * number}
        connection.execute(recovery_points.insert().values(**point, state="Completed"))
    job = {"id": "j", "vault_id": "v", "instance_id": "i", "kind": "Restore", "status": "Failed"}
    job |= {"started_at": NOW, "ended_at": NOW, "rule_name": "", "tag": "", "requested_by": ""}
    job |= {"user_triggered": True, "order": {}, "progress": {}, "sub_tasks": [], "warnings": []}
    connection.execute(jobs.insert().values(**job, error={"message": "no"}))
    backup = {"id": "b", "kind": "Backup", "error": {"message": "full", "hint": "room"}}
    connection.execute(jobs.insert().values(**(job | backup)))
    drill = {"id": "d", "instance_id": "i", "recovery_point_id": "r1", "verdict": "Passed"}
    drill |= {"began_at": NOW, "ended_at": NOW, "result": {"rows": SIZE}, "evidence_name": "e"}
    connection.execute(drills.insert().values(**drill, evidence_blake3=b"\1", evidence=b"{}"))


@pytest.fixture
def connection(database: Database) -> Iterator[sa.Connection]:
    with database.writing() as found:
        fill(found)
        yield found


def test_an_instance_is_seen_whole_in_one_look(connection: sa.Connection) -> None:
    [row] = fleet.list_all(connection)
    assert (row["version_number"], int(row["size_bytes"]), row["points"]) == (180001, SIZE, 2)
    assert row["newest_at"] == NOW.subtract(hours=24)
    assert row["oldest_at"] == NOW.subtract(hours=48)
    assert (row["drill"], row["drilled_at"], row["agent_id"]) == ("Passed", NOW, "a")
    assert fleet.last_backups(connection)["i"]["error"]["message"] == "full"
    assert [each["id"] for each in finding.points(connection, "r")] == ["r1", "r2"]
    assert [each["kind"] for each in finding.jobs_of(connection, "j")] == ["Restore"]
    assert finding.jobs_of(connection, "x") == []
    assert finding.databases(connection) == {"i": ["shop"]}
    assert [each["name"] for each in fleet.unprotected_servers(connection)] == ["pg2"]


def test_a_job_is_tried_again_where_none_has_followed_and_its_instance_is_there(
    connection: sa.Connection,
) -> None:
    def able(*, newest: bool = True) -> set[str]:
        return fleet.able_to_try_again(connection, ["b", "j"], newest=newest)

    assert able() == {"b", "j"}
    b = jobs.c.id == "b"
    row = dict(connection.execute(jobs.select().where(b)).mappings().one())
    row |= {"id": "later", "status": "InProgress", "started_at": NOW.add(hours=1)}
    connection.execute(jobs.insert().values(**row))
    assert (able(), able(newest=False)) == ({"j"}, {"b", "j"})
    assert fleet.running_by_vault(connection) == [("v", "v", 1)]
    connection.execute(instances.update().values(state="ProtectionStopped"))
    assert able(newest=False) == {"j"}  # it takes no backups, and can be restored
    connection.execute(instances.update().values(state="SoftDeleted"))
    assert able(newest=False) == set()


def test_how_far_jobs_were_lately_is_found_of_each_from_its_own_moment_on(
    connection: sa.Connection,
) -> None:
    for name, hours in (("j", 0), ("j", 1), ("b", 1)):
        done = Progress(step=f"{name}{hours}", done_bytes=10 + hours)
        job_samples.note(connection, name, done, NOW.add(hours=hours))
    since = {"j": NOW.add(minutes=30), "b": NOW.add(hours=2)}
    assert job_samples.lately(connection, since) == {"j": [(NOW.add(hours=1), 11)]}
    assert job_samples.lately(connection, {}) == {}


def test_sums_counts_and_means_come_out(connection: sa.Connection) -> None:
    assert usage.stored_later(connection) == {"i": (21, 21, 2)}
    assert costs.redundancies(connection) == {("v", "v"): "GeoRedundant"}
    assert costs.began(connection) == {"i": NOW}
    taken = costs.taken_by(connection, ["i"], NOW.subtract(hours=48))["i"]
    assert [(each.is_full, each.stored, each.raw) for each in taken] == [
        (False, 14, SIZE),
        (True, 7, SIZE),
    ]
    assert all(each.is_kept for each in taken)
    assert costs.taken_by(connection, ["i"], NOW) == {"i": taken}, (
        "what is kept costs, however old"
    )
    counted = metrics.count_jobs(connection)
    assert sorted(counted) == [("Backup", "Failed", 1), ("Restore", "Failed", 1)]
    assert metrics.waiting(connection) == 0
    [newest] = metrics.newest_points(connection)
    assert (newest["raw_bytes"], newest["stored_bytes"]) == (SIZE, 7)
    assert reports.newest_by_tag(connection) == {"i": {"Weekly": NOW.subtract(hours=24)}}
    found = reports.count_jobs(connection, NOW.subtract(hours=1))
    assert found["i"] == {("Backup", "Failed"): 1, ("Restore", "Failed"): 1}
    proved = reports.evidence(connection)["i"]
    assert (proved["evidence_blake3"], proved["rows"], proved["indexes"]) == (b"\1", SIZE, None)
    assert proved["taken_at"] == NOW.subtract(hours=24)


def test_what_was_counted_is_found_by_day_and_by_point(connection: sa.Connection) -> None:
    def count(day: str, stored: int, shares: dict[str, Share]) -> Usage:
        sizes = {"stored_bytes": stored, "points_bytes": stored, "unique_bytes": 1}
        sizes |= {"log_bytes": 0, "waiting_bytes": 0, "full_bytes": SIZE, "server_bytes": SIZE}
        found = Usage(instance_id="i", day=day, at=NOW, **sizes)
        usage.note(connection, found, shares)
        return found

    count("2025-12-30", 1, {"r1": Share(1, 2), "r2": Share(3, SIZE)})
    count("2025-12-31", 2, {"r1": Share(4, 5), "r2": Share(3, SIZE)})
    last = count("2025-12-31", SIZE, {"r2": Share(3, SIZE)})
    assert usage.is_noted(connection, "i", "2025-12-31")
    assert not usage.is_noted(connection, "i", "2026-01-01")
    assert usage.newest(connection) == {"i": last}
    days = usage.since(connection, "2025-12-30")["i"]
    assert [(each.day, each.stored_bytes) for each in days] == [
        ("2025-12-30", 1),
        ("2025-12-31", SIZE),
    ]
    assert usage.share_of(connection, "r2") == Share(3, SIZE)
    assert usage.share_of(connection, "r1") is None
    assert usage.stored_later(connection) == {"i": (7, 7, 1)}
    assert usage.server_bytes(connection, "i") == SIZE
    assert usage.largest_whole(connection) == 7
    usage.forget(connection, "2025-12-31")
    assert usage.since(connection, "2025-01-01") == {"i": [last]}


def test_a_day_and_the_next_one_are_summed_up_for_the_digest(connection: sa.Connection) -> None:
    assert digests.points_since(connection, NOW.subtract(hours=24 * 9)) == (2, 21)
    failed = digests.failed_jobs(connection, NOW.subtract(hours=24))
    assert {(kind, name) for kind, name, _ in failed} == {("Backup", "v"), ("Restore", "v")}
    assert digests.coming(connection, NOW, NOW.add(hours=24 * 9999))[2] == 0
    before = digests.claim(connection, "2026-01-01")
    assert before == ""
    assert digests.claim(connection, "2026-01-01") is None
    digests.give_back(connection, before)
    assert not digests.is_told(connection, "2026-01-01")


def test_the_last_lock_and_what_ends_soon_are_found(connection: sa.Connection) -> None:
    assert horizons.last_locks(connection) == {"i": (NOW.subtract(hours=24), NOW)}
    hour_before = NOW.subtract(hours=1)
    ending = recovery_point_rows.list_ending(connection, hour_before, NOW)
    assert [point.id for point in ending] == ["r1", "r2"]
    assert recovery_point_rows.list_ending(connection, NOW, NOW.add(hours=1)) == []
    assert horizons.immutable_instances(connection) == set()
    assert horizons.certificates(connection) == []


def test_an_alert_has_a_begin_and_an_end_that_are_told(connection: sa.Connection) -> None:
    cause = Cause(key="k", subject="i", severity=GRAVE, title="t", words="w", hint="h")
    alerts.begin(connection, "one", cause, NOW)
    assert [alert.id for alert in alerts.untold(connection, 9)] == ["one"]
    alerts.change(connection, "one", told_at=NOW)
    assert alerts.untold(connection, 9) == []
    alerts.change(connection, "one", ended_at=NOW)
    assert alerts.open_ones(connection) == []
    assert [alert.key for alert in alerts.untold(connection, 9)] == ["k"]
    assert [alert.key for alert in alerts.ended_ones(connection, 9)] == ["k"]
    alerts.forget_ended(connection, NOW.add(hours=1))
    assert alerts.ended_ones(connection, 9) == []
    [failed] = alerts.failed_restores(connection, NOW.subtract(hours=24))
    assert failed["error"]["message"] == "no"
    assert alerts.last_heard(connection) == [("a", "a", NOW)]
    assert (alerts.coming_purges(connection, NOW), alerts.held_expiries(connection)) == ([], {})
    assert alerts.damaged(connection) == {}


def test_a_session_is_found_by_its_digest_until_it_is_over(connection: sa.Connection) -> None:
    row = {"token_hash": "x", "principal_id": "p", "name": "n", "groups": ["g"]}
    times = {"began_at": NOW, "seen_at": NOW, "ends_at": NOW.add(hours=1)}
    sessions.add(connection, {**row, **times})
    sessions.touch(connection, "x", NOW.add(minutes=1))
    found = sessions.find(connection, "x")
    assert found is not None
    assert (found["groups"], found["seen_at"]) == (["g"], NOW.add(minutes=1))
    sessions.remove_ended(connection, NOW.add(hours=2))
    assert sessions.find(connection, "x") is None


def test_what_a_month_has_cost_outlasts_its_instance_and_is_not_written_anew(
    connection: sa.Connection,
) -> None:
    of = bills.billed(connection, "i")
    assert (of.name, of.vault, of.redundancy, of.tags) == ("v", "v", "GeoRedundant", {"team": "a"})
    days = [Day(Date(2026, 1, 1), SIZE, 5 * GB)]
    february = Instant.parse_iso("2026-02-03T00:00:00Z")
    first = bills_until(of, days, PriceSheet(), february, gone=False)
    bills.note(connection, first)
    bills.note(connection, bills_until(of, days, PriceSheet(unit=9.0), february, gone=False))
    then, now = bills.since(connection, "")[::-1]
    assert then == first[0]  # closed: dearer units are for later
    assert now.units_price == pytest.approx(now.unit_months * 9.0)
    bills.note(connection, bills_until(of, days, PriceSheet(), february, gone=True))
    removal.remove_instance(connection, "i")
    assert [(each.month, each.closed) for each in bills.since(connection, "2026-01")] == [
        ("2026-02", True),
        ("2026-01", True),
    ]
    bills.forget(connection, "2026-02")
    assert [each.month for each in bills.since(connection, "")] == ["2026-02"]


def test_points_are_looked_through_by_shelf_and_page(connection: sa.Connection) -> None:
    def ids(shelf: Shelf, skip: int = 0) -> tuple[list[str], int]:
        found, count = recovery_point_rows.look_through(
            connection, InstanceId("i"), shelf, skip, 1
        )
        return [point.id for point in found], count

    shelves = recovery_point_rows.shelves_of(connection, InstanceId("i"))
    assert shelves == [("Weekly", "Full", 1), ("Weekly", "Incremental", 1)]
    assert (ids(Shelf()), ids(Shelf(), skip=1)) == ((["r1"], 2), (["r2"], 2))
    assert ids(Shelf(kind="Incremental")) == (["r2"], 1)
    assert ids(Shelf(tag="Default")) == ([], 0)
    assert ids(Shelf(until=NOW.subtract(hours=24))) == (["r2"], 1)
    connection.execute(recovery_points.update().values(tag=""))
    assert ids(Shelf(tag="Default")) == (["r1"], 2)


def test_an_outline_of_points_is_all_of_them_with_little_of_their_facts(
    connection: sa.Connection,
) -> None:
    whose, one = InstanceId("i"), recovery_points.c.id == "r1"
    facts = {
        "system_identifier": "73",
        "timeline": 2,
        "stop_lsn": "0/3",
        "tables": [["a", "b", 1]],
    }
    connection.execute(recovery_points.update().where(one).values(facts=facts))
    whole = recovery_point_rows.list_of_instance(connection, whose)
    outline = recovery_point_rows.outline_of_instance(connection, whose)
    assert [msgspec.structs.replace(each, facts={}) for each in outline] == [
        msgspec.structs.replace(each, facts={}) for each in whole
    ]
    told = {each.id: each.facts for each in outline}
    assert {name: str(value) for name, value in told["r1"].items() if value is not None} == {
        "system_identifier": "73",
        "timeline": "2",
        "stop_lsn": "0/3",
    }
    assert not any(told["r2"].values())


def test_who_an_id_is_about_and_what_holds_shut_is_found(connection: sa.Connection) -> None:
    assert subjects.instance_names(connection, {"i", "r1", "nobody"}) == {"i": "v", "r1": "v"}
    assert censuses.taken_of(connection, ["i"]) == []
    censuses.note(connection, "i", NOW)
    assert censuses.taken_of(connection, ["i", "other"]) == [NOW]
    storage_findings.add(connection, "i", "missing", ("p/1", "gone"), NOW)
    assert storage_findings.count_kinds(connection, ["i"]) == {"missing": 1}
    assert instance_keys.count_escrowed(connection, ["i"]) == (0, 0)
