"""Crypto-shredding: what is destroyed opens nothing, and what is kept is not destroyed."""

import shutil
from pathlib import Path

import pytest

from care_world import CareWorld
from integration.care.test_keys import open_everywhere, rotate_pairs
from strongroom.catalog.points import holds, shreds
from strongroom.catalog.protection import instance_keys
from strongroom.datastore.places.blobs import DirectoryBlobs
from strongroom.datastore.rescue.rescue import open_point_keys
from strongroom.datastore.statements.certificate import check_certificate
from strongroom.model.errors import Corrupt, Locked, NotFound, WrongKey
from strongroom.model.work.operation import KeysRequest
from strongroom.workflows.basis.locking import lock_point
from strongroom.workflows.keys.key_census import check_keys
from strongroom.workflows.keys.shred import shred
from strongroom.workflows.restore.restore import release_keys


def keys_of(world: CareWorld) -> list:
    with world.database.reading() as connection:
        return instance_keys.list_of_instance(connection, world.instance)


def catalogue_files(world: CareWorld) -> list[bytes]:
    """Every byte of it: pages that are free, and the log, too."""
    path = Path(world.database.engine.url.database)
    return [file.read_bytes() for file in path.parent.glob(f"{path.name}*") if file.is_file()]


def nothing_opens(world: CareWorld, point: str) -> None:
    asked = KeysRequest(epoch=1, session_public_key=bytes(1216))
    with pytest.raises(WrongKey):
        release_keys(world.means, point, world.instance, "operation", asked)
    with pytest.raises(NotFound):
        open_point_keys(world.blobs, world.written.keys.recovery, point)


def is_refused(world: CareWorld, point: str, why: str) -> None:
    before = world.names()
    with pytest.raises(Locked, match=why):
        shred(world.means, world.instance)
    assert world.names() == before
    assert open_everywhere(world, point) > 0
    assert world.audited("instance/shred") == []


def test_every_key_of_an_instance_goes_and_a_signed_certificate_says_what_opens_no_more(world):
    points = [world.a_point(1, listed=True)]
    rotate_pairs(world, 2)
    points.append(world.a_point(2, listed=True))
    check_keys(world.means, world.instance)
    keys, objects = keys_of(world), world.names("k/")
    packs = world.names("g/")
    private = [row["sealed_private"] for row in keys]
    assert all(any(secret in file for file in catalogue_files(world)) for secret in private)
    signed = shred(world.means, world.instance)
    assert not [s for s in private for file in catalogue_files(world) if s in file]
    for point in points:
        nothing_opens(world, point)
    assert keys_of(world) == []
    assert world.names("k/") == []
    assert world.names("g/") == packs
    verify = world.means.keyring.signing.public
    told = check_certificate(verify, signed)
    assert {key.key_id for key in told.keys} == {row["key_id"].hex() for row in keys}
    assert [point.recovery_point_id for point in told.points] == sorted(points)
    assert {key for point in told.points for key in point.sealed_to} == {
        key.key_id for key in told.keys
    }
    assert told.objects_deleted == objects
    assert (told.objects_left, told.keys_left) == ([], [])
    with pytest.raises(Corrupt, match="certificate is not signed"):
        check_certificate(verify, signed.replace(b'"version":1', b'"version":2'))
    assert shred(world.means, world.instance) == signed
    assert world.audited("instance/shred") == [world.instance]


def test_a_hold_or_a_lock_on_any_point_keeps_every_key_and_the_reason_is_told(world):
    first, second = world.a_point(1, listed=True), world.a_point(2, listed=True)
    view = world.means.storage.account_view(world.instance)
    view.hold(f"p/{second}.manifest", "court")
    is_refused(world, first, f"p/{second}.manifest is under the legal hold court")
    view.lift_hold(f"p/{second}.manifest", "court")
    hold = {"id": "1", "instance_id": world.instance, "point_id": first, "name": "Court"}
    hold |= {"name_key": "court", "reason": "", "state": "held", "names": [], "set_by": "me"}
    with world.database.writing() as connection:
        holds.add(connection, {**hold, "set_at": world.clock.now()})
    is_refused(world, first, "legal hold Court")
    with world.database.writing() as connection:
        holds.remove(connection, "1")
    ends = world.clock.now().add(hours=9000)
    world.say_immutable("Unlocked")
    lock_point(world.means, world.instance, second, {second}, ends)
    is_refused(world, first, "k/ is locked until")
    world.say_immutable("Disabled")
    shred(world.means, world.instance)
    nothing_opens(world, first)


def test_a_shred_that_broke_off_is_finished_by_the_next_one(world):
    point = world.a_point(1, listed=True)
    keys = {row["key_id"].hex() for row in keys_of(world)}
    for name in world.names("k/"):
        world.remove(name)
    told = check_certificate(
        world.means.keyring.signing.public, shred(world.means, world.instance)
    )
    assert {key.key_id for key in told.keys} == keys
    nothing_opens(world, point)


def test_a_copy_of_the_storage_made_before_opens_with_the_recovery_key_still(world, tmp_path):
    """What security.md says: a shred reaches what we hold, and no copies that others made."""
    point = world.a_point(1, listed=True)
    home = world.store.file(world.instance, "FORMAT").parent
    shutil.copytree(home, tmp_path / "copy")
    shred(world.means, world.instance)
    with world.database.reading() as connection:
        assert shreds.find(connection, world.instance) is not None
    nothing_opens(world, point)
    copy = DirectoryBlobs(tmp_path / "copy")
    assert open_point_keys(copy, world.written.keys.recovery, point)
