"""A catalogue that is lost, and one that is restored from yesterday's copy: R1 and R2."""

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from blake3 import blake3
from msgspec.structs import replace
from whenever import Instant

import log_made
from care_world import CareWorld, care_world
from integration.care.test_drills import BAD, drilled
from seams import SystemChance
from strongroom.app.going_on import check_catalogue, note_used
from strongroom.app.rebuild import LOG_READING
from strongroom.catalog import snapshots
from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.oversight import audit as audit_rows
from strongroom.catalog.points import drills, expiry_holds, holds, recovery_points
from strongroom.catalog.protection import deletions, instance_keys, protection
from strongroom.catalog.tables.tables import instances, metadata, vaults
from strongroom.catalog.wal import wal
from strongroom.catalog.work import jobs
from strongroom.config import ServeFiles
from strongroom.control.oversight.audit import verdicts
from strongroom.control.oversight.audit_gaps import find_ahead
from strongroom.control.wal.wal_coverage import kept_of
from strongroom.control.wal.wal_moments import times_of
from strongroom.datastore.keys.keys import RecoveryKey
from strongroom.datastore.maps.manifest import Contents
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.packs.wal_pack import seal_log
from strongroom.model.errors import Precondition, WrongKey
from strongroom.model.ids import InstanceId
from strongroom.model.wal import WalPack, WalReport, pack_name
from strongroom.model.work.job import JobStatus
from strongroom.postgres.log.wal_summary import LogLine
from strongroom.workflows.backup.parents import choose_parent
from strongroom.workflows.basis.kek import KeyEncryption, KeyFile
from strongroom.workflows.basis.keyring import PURPOSES, Keyring
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.set_back import Freeze
from strongroom.workflows.care.anchoring import StorageWitness, write_anchor
from strongroom.workflows.keys import escrow
from strongroom.workflows.rebuild.rebuild import Rebuilt, newest_snapshot, rebuild
from strongroom.workflows.rebuild.snapshots import write_snapshot
from strongroom.workflows.wal.wal_keeping import keep_wal
from worlds import SOURCE, point_id

HOLD = "ab" * 16
FIRST = 0x2000000  # where the segment begins in which the points end
SYSTEM = str(SOURCE.system_identifier)


class House:
    """One installation over a real endpoint, whose catalogue can be taken away."""

    def __init__(self, world: CareWorld, home: Path) -> None:
        self.world, self.home = world, home
        self.recovery = world.written.keys.recovery
        self.means = self.over(world.database)
        for purpose in PURPOSES:
            pair = self.means.keyring.first_pair(world.instance, purpose)
            escrow.put_and_note(self.means, world.instance, purpose, pair)

    def over(self, database: Database, kek: KeyEncryption | None = None) -> Means:
        """The same installation over another catalogue, with its own key-encryption key."""
        world, old = self.world, self.world.means.keyring
        keyring = Keyring(database, kek or old.kek, old.recovery, old.signing)
        database.sign = old.signing.sign_record
        told = world.control.installation.tenant_id
        witness = StorageWitness(world.means.storage, old.signing, told).witness()
        control = dataclasses.replace(world.control, database=database, witness=witness)
        return dataclasses.replace(world.means, control=control, keyring=keyring)

    def bare(self) -> Means:
        """Nothing but storage and the recovery key; even the key-encryption key is new."""
        database = Database(f"sqlite:///{self.home}/new.sqlite")
        upgrade(database)
        fresh = KeyFile(self.home / "new.kek")
        fresh.ensure(SystemChance())
        return self.over(database, KeyEncryption([fresh], SystemChance()))

    def copy(self) -> Means:
        """The catalogue as it is now, put aside."""
        with contextlib.closing(sqlite3.connect(self.home / "catalogue.sqlite")) as connection:
            connection.execute(f"VACUUM INTO '{self.home}/copy.sqlite'")
        return self.over(Database(f"sqlite:///{self.home}/copy.sqlite"))

    def record(self) -> None:
        """What the service does within a minute."""
        write_snapshot(self.means)
        write_anchor(self.means)

    def hold(self) -> None:
        row = {"id": HOLD, "instance_id": self.world.instance, "point_id": None, "name": "case"}
        row |= {"name_key": "case", "reason": "Smith v. Jones", "state": "held"}
        row |= {"names": ["FORMAT", "p/"], "set_by": "me", "set_at": self.world.clock.now()}
        with self.world.database.writing() as connection:
            holds.add(connection, row)
        for name in row["names"]:
            self.means.storage.account_view(self.world.instance).hold(name, HOLD)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with care_world(tmp_path) as world:
        world.use_policy("Daily")
        with world.database.writing() as connection:
            audit_rows.append(connection, world.clock.now(), "me", ("begin", "it"))
        yield House(world, tmp_path)


def rebuilt(means: Means, recovery: RecoveryKey | None) -> Rebuilt:
    return rebuild(means, recovery, "console:anna", LOG_READING)


def settings_of(means: Means) -> snapshots.Rows:
    with means.control.database.reading() as connection:
        return {name: list(rows) for name, rows in snapshots.compared(connection)}


def points_of(means: Means, instance: str) -> list[tuple[str, str, str, str]]:
    points = metadata.tables["recovery_points"]
    with means.control.database.reading() as connection:
        rows = connection.execute(sa.select(points).where(points.c.instance_id == instance))
        return sorted((r.id, r.state, r.tag, r.expires_at.format_iso()) for r in rows)


def test_a_lost_catalogue_is_built_anew_from_storage_and_the_recovery_key(house: House):
    world = house.world
    kept, deleted = world.a_point(1, listed=True), world.a_point(2, listed=True)
    unlisted = world.a_point(3)
    house.hold()
    now = world.clock.now()
    with world.database.writing() as connection:
        vault = protection.by_id(connection, world.instance).vault_id
        by = ("me", "an operation")
        deletions.add(connection, ("point", deleted, vault), now, now.add(hours=336), by)
        audit_rows.append(connection, now, "me", ("do", "something"))
    house.record()
    before = settings_of(house.means)

    means = house.bare()
    assert find_ahead(means.control) is not None
    found = rebuilt(means, house.recovery)
    assert (found.problems, found.unknown, found.holds) == ([], [], [])
    assert (found.instances, found.points, found.keys) == (1, 3, 2)
    assert settings_of(means) == before
    states = {point: state for point, state, *_ in points_of(means, world.instance)}
    assert states == {kept: "Completed", deleted: "SoftDeleted", unlisted: "Completed"}
    # The keys open what there is, and the next backup leans on the newest point.
    _, manifest = means.open_point(world.instance, unlisted)
    assert manifest.facts.recovery_point_id == unlisted
    job = msgspec.structs.replace(_job(house), order={})
    with means.control.database.reading() as connection:
        parent = choose_parent(means, job, protection.by_id(connection, world.instance)).parent
    assert parent is not None
    assert parent.recovery_point_id in {kept, unlisted}
    # The audit says what is lost, for ever.
    assert found.gap is not None
    (verdict,) = verdicts(means.control)
    assert (verdict.problems, verdict.gaps) == ([], [found.gap])
    # Once more it finds nothing to do.
    again = rebuilt(means, house.recovery)
    assert (again.gap, again.snapshot, again.points, again.keys) == (None, None, 0, 0)
    means.control.database.close()


def _job(house: House):
    job = house.world.a_job(9, JobStatus.COMPLETED)
    with house.world.database.reading() as connection:
        return jobs.get(connection, job)


class Log:
    """What a server has written since the start of its points' segment: a commit a second."""

    def __init__(self, house: House) -> None:
        self.house, self.world = house, house.world
        self.began = house.world.clock.now().timestamp(unit="microsecond")
        commits = [log_made.commit(700 + n, self.began + n * 1_000_000) for n in range(1000)]
        self.raw = log_made.log_of(SOURCE.system_identifier, FIRST, commits)
        self.cuts = [0, *(log_made.cut(self.raw, records, FIRST) for records in (300, 600, 1000))]

    def put(self, part: int, *, epoch: int = 1, ends: int | None = None) -> WalPack:
        """A part of it lies in storage; told as its agent would tell it."""
        start, end = self.cuts[part], self.cuts[part + 1 if ends is None else ends]
        raw, place = self.raw[start:end], FIRST + start
        key = self.house.means.keyring.public(self.world.instance, "data")
        sealed = seal_log(raw, key, self.world.clock, SystemChance())
        name = pack_name(1, place, epoch)
        self.world.blobs.create(name, sealed)
        told = LogLine(place, log_made.SEGMENT, 180001, "", {}).add(raw)
        pack = WalPack(name=name, size=len(sealed), blake3=blake3(sealed).digest(), timeline=1,
                       start=place, end=FIRST + end, summary=told, tail_start=place,
                       tail=b"d" * 32)  # fmt: skip
        assert told.commits == 300 if part < 2 else 400
        return pack

    def keep(self, *packs: WalPack) -> None:
        report = WalReport(epoch=1, system_identifier=SYSTEM, segment_size=log_made.SEGMENT)
        report.packs = list(packs)
        keep_wal(self.house.means, self.world.instance, report)

    def times(self, means: Means) -> list[tuple[Instant, Instant]]:
        """Between which any second can be restored."""
        with means.control.database.reading() as connection:
            kept = kept_of(connection, protection.by_id(connection, self.world.instance))
            assert kept is not None
            return times_of(connection, kept, kept.reaches(kept.path()))


def known_log(means: Means) -> list[dict[str, object]]:
    uncompared = {"committed_at", "keep_until"}
    packs = metadata.tables["wal_packs"]
    with means.control.database.reading() as connection:
        rows = connection.execute(sa.select(packs).order_by(packs.c.start_lsn)).mappings()
        return [{name: row[name] for name in row if name not in uncompared} for row in rows]


def test_any_second_can_be_restored_again_once_the_log_was_read(house: House):
    world, log = house.world, Log(house)
    world.a_point(1, listed=True)
    with world.database.writing() as connection:
        facts = {"system_identifier": SYSTEM, "timeline": 1, "stop_lsn": "0/2000120"}
        recovery_points.note_facts(connection, point_id(1), facts)
    log.keep(log.put(0), log.put(1))
    log.keep(log.put(2))
    log.put(1, epoch=2)  # of an agent whose lease had ended
    world.blobs.create(pack_name(1, FIRST + (1 << 30), 3), b"rubbish")
    world.clock.advance(2000)
    house.record()

    means = house.bare()
    found = rebuilt(means, house.recovery)
    assert found.log_ranges == 3
    assert known_log(means) == known_log(house.means)
    (problem,) = found.problems
    assert "passed over" in problem
    assert pack_name(1, FIRST + (1 << 30), 3) in problem
    (times,) = log.times(means)
    assert times[1].timestamp(unit="microsecond") == log.began + 999 * 1_000_000
    with means.control.database.reading() as connection:
        stream = wal.stream_of(connection, world.instance)
        packs = wal.list_packs(connection, world.instance)
    assert stream is not None
    where = stream["system_identifier"], stream["timeline"], stream["end_lsn"]
    assert where == (SYSTEM, 1, FIRST + len(log.raw))
    assert all(row["keep_until"] > means.control.clock.now() for row in packs)
    assert rebuilt(means, house.recovery).log_ranges == 0
    means.control.database.close()


def test_what_a_point_held_and_what_was_deleted_come_back_by_name(house: House):
    world = house.world
    world.written.contents = Contents(
        databases={"shop": 5 << 30},
        extensions={"hstore": "1.8"},
        tables=[("shop", "public.orders", 3 << 30, "16401/16402")],
        damaged_pages={"base/16401/16402": [7]},
        read_bytes=6 << 30,
    )
    world.a_point(1)
    at = world.clock.now().timestamp(unit="microsecond")
    went = [log_made.deletion(700, 16401, file) for file in (16402, 16402, 16999)]
    raw = log_made.log_of(int(SYSTEM), FIRST, [*went, log_made.commit(700, at)])
    key = house.means.keyring.public(world.instance, "data")
    sealed = seal_log(raw, key, world.clock, SystemChance())
    world.blobs.create(pack_name(1, FIRST, 1), sealed)
    house.record()
    means = house.bare()
    assert rebuilt(means, house.recovery).problems == []
    with means.control.database.reading() as connection:
        (point,) = recovery_points.list_of_instance(connection, world.instance)
    assert point.facts["databases"] == {"shop": 5 << 30}
    assert point.facts["extensions"] == {"hstore": "1.8"}
    assert point.facts["tables"] == [["shop", "public.orders", 3 << 30]]
    assert point.facts["damaged_pages"] == {"base/16401/16402": [7]}
    assert point.facts["read_bytes"] == 6 << 30
    (pack,) = known_log(means)
    (second,) = pack["seconds"]
    assert second["deleted"] == {"shop.public.orders": 2, "16401/16999": 1}
    means.control.database.close()


def test_yesterdays_catalogue_learns_the_log_that_came_since_and_tells_of_a_hole(house: House):
    world, log = house.world, Log(house)
    world.a_point(1)
    rebuilt(house.means, None)
    log.keep(log.put(0))
    yesterday = house.copy()
    with world.database.writing() as connection:
        audit_rows.append(connection, world.clock.now(), "me", ("do", "something"))
    house.record()
    log.put(2)
    found = rebuilt(yesterday, None)
    assert (found.log_ranges, found.problems) == (1, [])
    with yesterday.control.database.reading() as connection:
        # Of another end: no server would have it, and its own was taken for a copy.
        assert not wal.tail_of(wal.stream_of(connection, world.instance)).digest
        (gap,) = wal.gaps_of(connection, world.instance)
    assert (gap["start_lsn"], gap["end_lsn"]) == (FIRST + log.cuts[1], FIRST + log.cuts[2])
    # What the copy lists and storage has not any more is offered to nobody.
    world.remove(known_log(yesterday)[0]["name"])
    assert "1 ranges of log" in rebuilt(yesterday, None).problems[0]
    assert len(known_log(yesterday)) == 1


def test_the_history_of_drills_comes_back_out_of_their_evidence(house: House):
    world = house.world
    passed, failed = world.a_point(1, listed=True), world.a_point(2, listed=True)
    drilled(world, passed)
    house.record()
    world.clock.advance(60)
    assert drilled(world, failed, BAD).status is JobStatus.FAILED
    with world.database.reading() as connection:
        before = drills.list_of_instance(connection, world.instance)

    means = house.bare()
    found = rebuilt(means, house.recovery)
    assert (found.drills, found.problems) == (2, [])
    with means.control.database.reading() as connection:
        after = drills.list_of_instance(connection, world.instance)
        held = expiry_holds.list_of_instance(connection, world.instance)
        points = recovery_points.list_of_instance(connection, InstanceId(world.instance))
        known = jobs.is_known(connection, before[1].id)
    assert [replace(row, result={}) for row in after] == [
        replace(row, result={}) for row in before
    ]
    assert [row.result["rows"] for row in after] == [1234, 1234]
    # The snapshot was older than the failure: what follows from it is drawn again.
    assert [each.recovery_point_id for each in held] == [failed]
    assert {point.id: point.facts["drill"]["verdict"] for point in points} == {
        passed: "Passed",
        failed: "Failed",
    }
    assert known  # the job that had ended before the snapshot was written
    means.control.database.close()


def test_yesterdays_catalogue_learns_what_was_taken_and_set_since(house: House):
    world = house.world
    old = world.a_point(1, listed=True)
    house.record()
    yesterday = house.copy()
    world.clock.advance(60)
    since = world.a_point(2, listed=True)
    house.hold()
    with world.database.writing() as connection:
        row = instances.select().where(instances.c.id == world.instance)
        vault = connection.execute(row).mappings().one()["vault_id"]
        longer = {"securitySettings": {"softDeleteSettings": {"state": "AlwaysOn"}}}
        connection.execute(vaults.update().values(properties=longer))
        for number in range(4):
            audit_rows.append(connection, world.clock.now(), "me", ("do", str(number)))
    house.record()

    ahead = find_ahead(yesterday.control)
    assert ahead is not None
    # Without the kit points and holds are learnt, and settings stay as the copy has them.
    found = rebuilt(yesterday, None)
    assert (found.points, found.holds, found.snapshot) == (1, [HOLD], None)
    assert [point for point, *_ in points_of(yesterday, world.instance)] == sorted([old, since])
    with yesterday.control.database.reading() as connection:
        head, _ = audit_rows.head(connection)
        (hold,) = holds.list_of_instance(connection, world.instance)
    assert head > ahead.sequence
    assert (hold["names"], hold["state"], vault) == (["FORMAT", "p/"], "held", vault)
    assert find_ahead(yesterday.control) is None


def test_yesterdays_catalogue_takes_newer_settings_with_the_kit(house: House):
    world = house.world
    yesterday = house.copy()
    house.hold()
    longer = {"securitySettings": {"softDeleteSettings": {"state": "AlwaysOn"}}}
    with world.database.writing() as connection:
        connection.execute(vaults.update().values(properties=longer))
        audit_rows.append(connection, world.clock.now(), "me", ("vault/write", "it"))
    house.record()
    found = rebuilt(yesterday, house.recovery)
    assert (found.holds, found.settings["vaults"], found.settings["holds"]) == ([], 1, 1)
    assert settings_of(yesterday) == settings_of(house.means)


def test_a_pair_that_was_made_after_the_snapshot_comes_back_as_the_newest(house: House):
    world = house.world
    house.record()
    pair = KeyPair.generate(SystemChance())
    escrow.put(house.means, world.instance, "data", pair)
    means = house.bare()
    assert rebuilt(means, house.recovery).keys == 3
    with means.control.database.reading() as connection:
        rows = instance_keys.list_of_purpose(connection, world.instance, "data")
    assert [row["number"] for row in rows] == [1, 2]
    assert rows[-1]["key_id"] == pair.public.key_id


def test_a_key_encryption_key_that_is_lost_alone_is_no_loss(house: House):
    point = house.world.a_point(1, listed=True)
    fresh = KeyFile(house.home / "fresh.kek")
    fresh.ensure(SystemChance())
    means = house.over(house.world.database, KeyEncryption([fresh], SystemChance()))
    with pytest.raises(WrongKey):
        means.open_point(house.world.instance, point)
    assert rebuilt(means, house.recovery).keys == 2
    assert means.open_point(house.world.instance, point)[1].facts.recovery_point_id == point
    assert rebuilt(means, house.recovery).keys == 0


def test_a_snapshot_opens_with_the_recovery_key_alone_and_holds_no_private_key(house: House):
    house.record()
    found = newest_snapshot(house.means, house.recovery)
    assert found is not None
    assert all("sealed_private" not in row for row in found.tables["instance_keys"])
    other = RecoveryKey(KeyPair.generate(SystemChance()), house.recovery.verify)
    assert newest_snapshot(house.means, other) is None
    assert rebuilt(house.bare(), other).instances == 0


def test_a_snapshot_is_written_when_a_setting_changes_and_once_a_day(house: House):
    assert write_snapshot(house.means) is True
    assert write_snapshot(house.means) is False
    with house.world.database.writing() as connection:
        audit_rows.append(connection, house.world.clock.now(), "me", ("no", "change"))
    assert write_snapshot(house.means) is False
    with house.world.database.writing() as connection:
        connection.execute(vaults.update().values(tags={"a": "b"}))
    assert write_snapshot(house.means) is True
    house.world.clock.advance(86_400)
    assert write_snapshot(house.means) is True


def test_points_of_an_instance_that_nobody_knows_are_told(house: House):
    stranger = "5" * 32
    house.means.storage.account_view(stranger).ensure()
    house.means.storage.container(stranger).create(f"p/{HOLD}.receipt", b"{}")
    found = rebuilt(house.bare(), house.recovery)
    assert (found.unknown, found.instances) == ([stranger], 0)


def test_a_control_plane_does_not_go_on_over_a_catalogue_that_is_lost_or_older(
    house: House, tmp_path: Path
):
    files = ServeFiles(tmp_path / "serve")
    check_catalogue(house.means.control, files)  # nothing is anchored yet
    yesterday, empty = house.copy(), house.bare()
    with house.world.database.writing() as connection:
        audit_rows.append(connection, house.world.clock.now(), "me", ("do", "something"))
    house.record()
    check_catalogue(house.means.control, files)
    with pytest.raises(Precondition, match="older than what storage knows"):
        check_catalogue(yesterday.control, files)
    with pytest.raises(Precondition, match="the catalogue is gone"):
        check_catalogue(empty.control, files)
    rebuilt(yesterday, None)
    check_catalogue(yesterday.control, files)


def test_an_empty_catalogue_of_an_installation_that_had_one_is_a_lost_one(
    house: House, tmp_path: Path
):
    files, empty = ServeFiles(tmp_path / "serve"), house.bare()
    check_catalogue(empty.control, files)  # a first start
    note_used(files)
    note_used(files)
    with pytest.raises(Precondition, match="the catalogue is gone"):
        check_catalogue(empty.control, files)


def test_nothing_goes_while_the_catalogue_is_older_than_its_anchors(house: House):
    yesterday = house.copy()
    with house.world.database.writing() as connection:
        audit_rows.append(connection, house.world.clock.now(), "me", ("do", "something"))
    house.record()
    done: list[str] = []
    Freeze(house.means.control).over(lambda: done.append("now"))()
    freeze = Freeze(yesterday.control)
    work = freeze.over(lambda: done.append("yesterday"))
    work()
    assert done == ["now"]
    rebuilt(yesterday, None)
    work()
    assert done == ["now", "yesterday"]


def test_every_table_is_kept_or_left_out_on_purpose():
    assert set(metadata.tables) >= snapshots.LEFT_OUT
