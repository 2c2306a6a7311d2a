"""A catalogue that is lost, and one that is restored from yesterday's copy: R1 and R2."""

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from care_world import CareWorld, care_world
from seams import SystemChance
from strongroom.app.going_on import check_catalogue, note_used
from strongroom.catalog import audit as audit_rows
from strongroom.catalog import deletions, holds, instance_keys, jobs, protection, snapshots
from strongroom.catalog.database import Database
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.tables import instances, metadata, vaults
from strongroom.config import ServeFiles
from strongroom.control.audit import verdicts
from strongroom.control.audit_gaps import find_ahead
from strongroom.datastore.keys import RecoveryKey
from strongroom.datastore.seal import KeyPair
from strongroom.model.errors import Precondition, WrongKey
from strongroom.model.job import JobStatus
from strongroom.workflows import escrow
from strongroom.workflows.anchoring import StorageWitness, write_anchor
from strongroom.workflows.kek import KeyEncryption, KeyFile
from strongroom.workflows.keyring import PURPOSES, Keyring
from strongroom.workflows.means import Means
from strongroom.workflows.parents import choose_parent
from strongroom.workflows.rebuild import newest_snapshot, rebuild
from strongroom.workflows.set_back import Freeze
from strongroom.workflows.snapshots import write_snapshot

HOLD = "ab" * 16


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


def settings_of(means: Means) -> snapshots.Rows:
    with means.control.database.reading() as connection:
        return snapshots.compared(snapshots.take(connection))


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
    found = rebuild(means, house.recovery, "console:anna")
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
    again = rebuild(means, house.recovery, "console:anna")
    assert (again.gap, again.snapshot, again.points, again.keys) == (None, None, 0, 0)
    means.control.database.close()


def _job(house: House):
    job = house.world.a_job(9, JobStatus.COMPLETED)
    with house.world.database.reading() as connection:
        return jobs.get(connection, job)


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
    found = rebuild(yesterday, None, "console:anna")
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
    found = rebuild(yesterday, house.recovery, "console:anna")
    assert (found.holds, found.settings["vaults"], found.settings["holds"]) == ([], 1, 1)
    assert settings_of(yesterday) == settings_of(house.means)


def test_a_pair_that_was_made_after_the_snapshot_comes_back_as_the_newest(house: House):
    world = house.world
    house.record()
    pair = KeyPair.generate(SystemChance())
    escrow.put(house.means, world.instance, "data", pair)
    means = house.bare()
    assert rebuild(means, house.recovery, "console:anna").keys == 3
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
    assert rebuild(means, house.recovery, "console:anna").keys == 2
    assert means.open_point(house.world.instance, point)[1].facts.recovery_point_id == point
    assert rebuild(means, house.recovery, "console:anna").keys == 0


def test_a_snapshot_opens_with_the_recovery_key_alone_and_holds_no_private_key(house: House):
    house.record()
    found = newest_snapshot(house.means, house.recovery)
    assert found is not None
    assert all("sealed_private" not in row for row in found.tables["instance_keys"])
    other = RecoveryKey(KeyPair.generate(SystemChance()), house.recovery.verify)
    assert newest_snapshot(house.means, other) is None
    assert rebuild(house.bare(), other, "console:anna").instances == 0


def test_a_snapshot_is_written_when_a_setting_changes_and_once_a_week(house: House):
    assert write_snapshot(house.means) is True
    assert write_snapshot(house.means) is False
    with house.world.database.writing() as connection:
        audit_rows.append(connection, house.world.clock.now(), "me", ("no", "change"))
    assert write_snapshot(house.means) is False
    with house.world.database.writing() as connection:
        connection.execute(vaults.update().values(tags={"a": "b"}))
    assert write_snapshot(house.means) is True
    house.world.clock.advance(8 * 86_400)
    assert write_snapshot(house.means) is True


def test_points_of_an_instance_that_nobody_knows_are_told(house: House):
    stranger = "5" * 32
    house.means.storage.account_view(stranger).ensure()
    house.means.storage.container(stranger).create(f"p/{HOLD}.receipt", b"{}")
    found = rebuild(house.bare(), house.recovery, "console:anna")
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
    rebuild(yesterday, None, "console:anna")
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
    rebuild(yesterday, None, "console:anna")
    work()
    assert done == ["now", "yesterday"]


def test_every_table_is_kept_or_left_out_on_purpose():
    assert set(metadata.tables) >= snapshots.LEFT_OUT
