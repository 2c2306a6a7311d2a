"""Keys: sealed under another key, rotated, examined. Nothing is ever left that does not open."""

import dataclasses
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from care_world import CareWorld
from seams import SystemChance
from strongroom.catalog.points import recovery_points, storage_findings
from strongroom.catalog.protection import instance_keys
from strongroom.catalog.tables import tables
from strongroom.catalog.work import jobs
from strongroom.datastore.keys.session import open_session
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.rescue.rescue import open_point_keys
from strongroom.model.errors import Forbidden, Precondition, StoreUnavailable, WrongKey
from strongroom.model.work.job import JobStatus
from strongroom.model.work.operation import KeysRequest
from strongroom.workflows.basis.kek import CommandKey, KeyEncryption, KeyFile, key_encryption
from strongroom.workflows.basis.keyring import PURPOSES
from strongroom.workflows.keys.key_census import check_keys
from strongroom.workflows.keys.rotation import (
    begin_kek_rotation,
    forget_old_kek,
    make_next_pair,
    seal_anew,
)
from strongroom.workflows.restore.restore import release_keys


def rows(world: CareWorld) -> list:
    with world.database.reading() as connection:
        return instance_keys.list_all(connection)


def rotate_pairs(world: CareWorld, number: int) -> None:
    """And let the writer of this world use them."""
    for purpose in PURPOSES:
        make_next_pair(world.means, world.instance, purpose, number)
    keyring = world.means.keyring
    data, catalogue = (keyring.pair(world.instance, p) for p in ("data", "catalogue"))
    world.written.keys = dataclasses.replace(world.written.keys, data=data, catalogue=catalogue)


def open_everywhere(world: CareWorld, point: str) -> int:
    """With the catalogue's keys, and with the recovery key alone; how many packs it has."""
    session = KeyPair.generate(SystemChance()).public.to_bytes()
    asked = KeysRequest(epoch=1, session_public_key=session)
    assert release_keys(world.means, point, world.instance, "operation", asked)
    _, keys = open_point_keys(world.blobs, world.written.keys.recovery, point)
    return len(keys)


def test_keys_are_given_as_far_as_they_are_asked_for_and_of_no_other_point(world):
    point, other = world.a_point(1, listed=True), world.a_point(2, listed=True)
    _, every = open_point_keys(world.blobs, world.written.keys.recovery, point)
    _, others = open_point_keys(world.blobs, world.written.keys.recovery, other)
    pair = KeyPair.generate(SystemChance())

    def given(**asked: Any) -> dict[bytes, bytes]:
        request = KeysRequest(epoch=1, session_public_key=pair.public.to_bytes(), **asked)
        sealed = release_keys(world.means, point, world.instance, "operation", request)
        return open_session(pair, "operation", sealed).packs

    one, *_ = every
    assert given() == given(at_most=len(every)) == every
    assert given(at_most=len(every) - 1) == given(packs=[]) == {}
    assert given(packs=[one]) == {one: every[one]}
    (strange, *_) = others.keys() - every.keys()
    with pytest.raises(Forbidden):
        given(packs=[one, strange])


def alarms(world: CareWorld) -> dict[str, str]:
    with world.database.reading() as connection:
        found = storage_findings.list_of_instance(connection, world.instance)
    return {row["name"]: row["problem"] for row in found if row["kind"] == "key"}


def rotate_kek(world: CareWorld) -> None:
    begin_kek_rotation(world.means)
    seal_anew(world.means)
    forget_old_kek(world.means)


def test_private_keys_open_after_forty_rotations_of_what_seals_them_and_the_old_one_opens_none(
    world, tmp_path
):
    point = world.a_point(1, listed=True)
    first = tmp_path / "first"
    first.write_bytes(world.kek_file.path.read_bytes())
    before = [row["sealed_private"] for row in rows(world)]
    for _ in range(40):
        rotate_kek(world)
    assert len(world.kek_file.keys()) == 1
    assert stat.S_IMODE(world.kek_file.path.stat().st_mode) == 0o600
    assert open_everywhere(world, point) > 0
    old = KeyEncryption([KeyFile(first)], SystemChance())
    with pytest.raises(WrongKey):
        old.open(rows(world)[0]["sealed_private"], b"")
    assert not {row["sealed_private"] for row in rows(world)} & set(before)


def test_a_rotation_that_breaks_off_anywhere_leaves_every_key_openable_and_is_finished_later(
    world,
):
    point = world.a_point(1, listed=True)
    begin_kek_rotation(world.means)
    assert open_everywhere(world, point) > 0
    begin_kek_rotation(world.means)  # the step was repeated after a crash
    assert len(world.kek_file.keys()) == 2
    one = rows(world)[0]
    with world.database.writing() as connection:  # half way through
        pair = world.means.keyring.opened(one)
        place = f"strongroom-instance-key-1\n{one['instance_id']}\n{one['purpose']}".encode()
        after = world.means.keyring.kek.seal(pair.to_bytes(), place)
        instance_keys.reseal(connection, one["key_id"], one["sealed_private"], after)
    again = KeyEncryption([world.kek_file], SystemChance())  # the process begins anew
    world.means.keyring.kek = again
    assert open_everywhere(world, point) > 0
    rotate_kek(world)
    assert len(world.kek_file.keys()) == 1
    assert open_everywhere(world, point) > 0


def test_the_old_key_stays_while_a_private_key_does_not_open(world):
    with world.database.writing() as connection:
        row = instance_keys.list_all(connection)[0]
        broken = row["sealed_private"][:-1] + bytes([row["sealed_private"][-1] ^ 1])
        instance_keys.reseal(connection, row["key_id"], row["sealed_private"], broken)
    with pytest.raises(WrongKey, match=row["key_id"].hex()):
        rotate_kek(world)
    assert len(world.kek_file.keys()) == 2


def test_what_opens_the_target_of_a_job_is_sealed_anew_too(world):
    job = world.a_job(1, JobStatus.IN_PROGRESS)
    sealed = world.means.keyring.seal_signature(job, "sig=secret")
    with world.database.writing() as connection:
        query = tables.jobs.update().where(tables.jobs.c.id == job)
        connection.execute(query.values(sealed_signature=sealed))
    rotate_kek(world)
    with world.database.reading() as connection:
        found = jobs.sealed_signature(connection, job)
    assert found != sealed
    assert world.means.keyring.open_signature(job, found) == "sig=secret"


def test_a_file_of_several_processes_is_not_rotated_beneath_them(world):
    with world.database.writing() as connection:
        for name in ("serve-1", "serve-2"):
            row = {"id": name, "seen_at": world.clock.now()}
            connection.execute(tables.executors.insert().values(**row))
    with pytest.raises(Precondition, match="2 control planes"):
        begin_kek_rotation(world.means)


def a_wrapper(home: Path, private: bytes, public: bytes) -> Path:
    """The program that docs/operations.md shows, with a key pair of its own."""
    home.mkdir()
    (home / "kek-private.pem").write_bytes(private)
    (home / "kek-public.pem").write_bytes(public)
    page = Path(__file__).parents[3] / "docs" / "operations.md"
    (shown,) = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", page.read_text(), re.DOTALL)
    program = home / "wrap-key"
    program.write_text(shown.replace("/etc/strongroom", str(home)))
    program.chmod(0o700)
    return program


def rsa_pair() -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return (
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def test_a_program_takes_over_from_the_file_and_the_file_opens_nothing_any_more(world, tmp_path):
    point = world.a_point(1, listed=True)
    program = a_wrapper(tmp_path / "hsm", *rsa_pair())
    specs = [f"command:{program}", str(world.kek_file.path)]
    world.means.keyring.kek = key_encryption(specs, tmp_path / "none", SystemChance())
    assert open_everywhere(world, point) > 0
    rotate_kek(world)
    world.kek_file.path.unlink()
    world.means.keyring.kek = key_encryption(specs[:1], tmp_path / "none", SystemChance())
    assert open_everywhere(world, point) > 0
    (tmp_path / "hsm" / "kek-private.pem").write_bytes(rsa_pair()[0])
    with pytest.raises(WrongKey, match="wrap-key"):
        open_everywhere(world, point)
    program.unlink()
    with pytest.raises(StoreUnavailable, match="FileNotFoundError"):
        open_everywhere(world, point)


def test_a_program_that_gives_back_what_it_was_given_is_refused():
    echo = CommandKey(("/bin/sh", "-c", "exec cat"))
    with pytest.raises(StoreUnavailable):
        echo.wrap(bytes(range(32)), SystemChance())
    slow = CommandKey(("/bin/sh", "-c", "exec sleep 60"), seconds=0.2)
    with pytest.raises(StoreUnavailable, match="TimeoutExpired"):
        slow.wrap(bytes(range(32)), SystemChance())


def test_a_rotated_instance_opens_what_was_written_under_each_of_its_keys(world):
    points = [world.a_point(1, listed=True)]
    for number in (2, 3):
        rotate_pairs(world, number)
        points.append(world.a_point(number, listed=True))
    make_next_pair(world.means, world.instance, "data", 3)  # the step was repeated
    assert len(rows(world)) == 6
    for point in points:
        assert open_everywhere(world, point) > 0
    assert check_keys(world.means, world.instance) == {}
    with world.database.reading() as connection:
        told = [recovery_points.facts_of(connection, point)["keys"] for point in points]
    assert [len(keys) for keys in told] == [2, 2, 2]
    assert len({key for keys in told for key in keys}) == 6


def test_a_key_that_is_lost_and_one_that_is_another_are_alarms_with_the_points_they_open(world):
    world.a_point(1, listed=True)
    rotate_pairs(world, 2)
    world.a_point(2, listed=True)
    assert check_keys(world.means, world.instance) == {}
    lost, wrong = [row for row in rows(world) if row["number"] == 1]
    with world.database.writing() as connection:
        keys = tables.instance_keys
        connection.execute(keys.delete().where(keys.c.key_id == lost["key_id"]))
        theirs = instance_keys.find(connection, world.instance, wrong["purpose"])
        mine = keys.c.key_id == wrong["key_id"]
        other = {"sealed_private": theirs["sealed_private"]}
        connection.execute(keys.update().where(mine).values(**other))
    found = check_keys(world.means, world.instance)
    assert "is not in the catalogue: 1 recovery points" in found[lost["key_id"].hex()]
    assert "holds another key: 1 recovery points" in found[wrong["key_id"].hex()]
    assert alarms(world) == found
    assert set(world.audited("key/alarm")) == set(found)
    assert check_keys(world.means, world.instance) == found
    assert len(world.audited("key/alarm")) == 2


def test_a_key_that_the_recovery_key_needs_and_that_is_gone_or_altered_is_told_and_put_again(
    world,
):
    point = world.a_point(1, listed=True)
    gone, altered = world.names("k/")
    world.remove(gone)
    world.damage(altered)
    found = check_keys(world.means, world.instance)
    assert len(found) == 2
    assert all("for the recovery key: 1 recovery points" in problem for problem in found.values())
    assert open_everywhere(world, point) > 0
    assert check_keys(world.means, world.instance) == {}
    assert alarms(world) == {}
