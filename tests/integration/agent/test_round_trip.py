"""Back up a real server into real storage, restore it, start it, and compare every row."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_story import (
    INSTANCE,
    Server,
    Story,
    a_server,
    a_story,
    an_open_directory,
    own,
    restored,
)
from ports import free_port
from seams import SystemChance, SystemClock
from store_world import KEY, a_sas
from strongroom.datastore.keys.session import SessionKeys, seal_session
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.container import Container
from strongroom.postgres.restore.restore import MARKER
from strongroom.postgres.server import scratch

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with an_open_directory() as root:
        yield root


@pytest.fixture(scope="module")
def source(root) -> Iterator[Server]:
    space = root / "space"
    space.mkdir()
    own(space)
    with a_server(root, "--data-checksums") as server:
        server.run(
            f"create tablespace fast location '{space}'",
            "create database shop",
            "create database other",
        )
        server.run(
            "create table item (id int primary key, name text, note text)",
            "insert into item select n, md5(n::text), repeat(md5((n * 7)::text), 8) "
            "from generate_series(1, 60000) n",
            "create table priced (id int, price numeric) tablespace fast",
            "insert into priced select n, n * 1.5 from generate_series(1, 20000) n",
            "create table empty (id int)",
            "create unlogged table draft (id int)",
            "create index on item (name)",
            database="shop",
        )
        server.run("create table t as select 1 as one", database="other")
        yield server


@pytest.fixture(scope="module")
def story(root, source) -> Iterator[Story]:
    with a_story(root / "agent") as story:
        story.book.add("orders", source.conninfo)
        story.start()
        story.world.await_that(lambda: "orders" in story.world.servers)
        yield story


@pytest.fixture(scope="module")
def backup(story, source):
    operation = story.back_up()
    assert operation.failure is None, operation.failure
    story.commit(operation)
    return operation


@pytest.fixture(scope="module")
def clone(story, backup, source, root) -> Iterator[Server]:
    target, port = root / "restored", free_port()
    moved = root / "moved-space"
    order = story.restore_order(
        target,
        start=True,
        port=port,
        tablespaces={str(root / "space"): str(moved)},
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    server = restored(source, target, port)
    server.result = operation.result.restore
    server.operation = operation
    try:
        yield server
    finally:
        scratch.stop(server.tools, target, "immediate")


def test_the_delta_opens_with_the_catalogue_key_and_names_every_file(story, backup):
    delta = story.delta_of(backup)
    assert {"PG_VERSION", "backup_label", "global/pg_control"} <= {f.path for f in delta.files}


def test_the_result_says_what_was_read_and_stored(story, backup, root):
    result = backup.result.backup
    assert result.raw_bytes > 30_000_000
    assert 0 < result.stored_bytes < result.raw_bytes
    assert result.packs == len(list(story.blobs.list("g/")))
    assert result.version_number // 10000 == 15
    assert set(result.databases) == {"shop", "other", "postgres", "template1"}
    assert result.extensions == {"plpgsql": "1.0"}
    [(where, size)] = result.tablespaces.items()
    assert (where, 20_000 * 30 < size < 20_000 * 60) == (str(root / "space"), True)


def test_the_log_of_the_backup_is_in_the_delta(story, backup):
    segments = [f for f in story.delta_of(backup).files if f.kind == "wal"]
    assert segments
    assert all(f.path.startswith("pg_wal/") and f.size == 16 << 20 for f in segments)


def test_progress_was_told_while_it_ran(backup):
    reading = [p for p in backup.heartbeats if p.step == "Reading"]
    writing = [p for p in backup.heartbeats if p.step == "Writing"]
    assert backup.heartbeats[0].step == "Connecting"
    assert reading[0].total_bytes > 30_000_000
    assert writing[0].done_bytes > 30_000_000


def test_progress_of_a_restore_counts_what_is_written_and_then_what_is_checked(clone, backup):
    told = clone.operation.heartbeats
    steps = list(dict.fromkeys(p.step for p in told))
    assert steps == ["Connecting", "Writing", "Verifying", "Starting"]
    raw = backup.result.backup.raw_bytes
    assert {p.total_bytes for p in told if p.step == "Writing"} == {raw}
    checked = [p for p in told if p.step == "Starting"]
    assert raw - (64 << 20) < checked[0].done_bytes == checked[0].total_bytes < raw


def test_the_restored_server_has_equal_rows(source, clone, backup):
    for database in ("shop", "other"):
        assert clone.digests(database) == source.digests(database)


def test_the_tablespace_moved(clone, root):
    link = next((clone.directory / "pg_tblspc").iterdir())
    assert link.resolve() == root / "moved-space"


def test_the_restore_says_where_it_listens(clone):
    assert clone.result.started
    assert clone.result.port == clone.port
    *psql, database = clone.result.next_steps[-1].split()
    assert (psql, database) == (
        ["psql", "-h", str(clone.sockets), "-p", str(clone.port)],
        "postgres",
    )


def test_the_restored_server_archives_nothing(clone):
    with clone.connect() as connection:
        assert connection.execute("show archive_mode").fetchone() == ("off",)


def test_no_key_lies_on_this_machine_afterwards(story, clone, root):
    keys = [story.data.to_bytes(), story.catalogue.to_bytes()]
    for file in (root / "agent").rglob("*"):
        if file.is_file():
            assert not any(key[:32] in file.read_bytes() for key in keys)


def test_a_second_attempt_reports_the_finished_restore_and_touches_nothing(story, clone):
    operation = clone.operation
    story.world.offer_again(operation)
    story.world.await_status(operation, "completed")
    assert operation.result.restore == clone.result
    with clone.connect("shop") as connection:
        assert connection.execute("select count(*) from item").fetchone() == (60000,)


def test_a_restore_that_is_not_started_says_how_to_start_it(story, backup, root, source):
    target = root / "not-started"
    spaces = {str(root / "space"): str(root / "not-started-space")}
    operation = story.restore(story.restore_order(target, tablespaces=spaces, port=5999))
    assert operation.failure is None, operation.failure
    step = operation.result.restore.next_steps[-1]
    assert f"-D {target}" in step
    assert "-p 5999" in step
    assert not scratch.is_running(source.tools, target)


def journal_of(root):
    return root / "agent" / "restores"


def test_a_restore_whose_end_could_not_be_written_down_begins_again(story, backup, root):
    target = root / "unwritten"
    spaces = {str(root / "space"): str(root / "unwritten-space")}
    honest = story.world.release_keys

    def and_then_the_disk_fails(operation_id, session_public_key):
        journal_of(root).rename(root / "aside")
        journal_of(root).write_text("no directory: nothing can be written down")
        return honest(operation_id, session_public_key)

    story.world.release_keys = and_then_the_disk_fails
    operation = story.restore(story.restore_order(target, tablespaces=spaces))
    story.world.release_keys = honest
    assert operation.failure.error["kind"] == "Invalid"
    assert (target / "PG_VERSION").exists()
    journal_of(root).unlink()
    (root / "aside").rename(journal_of(root))
    story.world.offer_again(operation)
    story.world.await_status(operation, "completed", seconds=60)
    assert operation.result.restore.written_bytes > 30_000_000
    assert not (target / MARKER).exists()


def test_a_restore_that_was_killed_before_its_marker_went_only_loses_its_marker(
    story, backup, root
):
    target = root / "marked"
    spaces = {str(root / "space"): str(root / "marked-space")}
    order = story.restore_order(target, tablespaces=spaces)
    operation = story.restore(order)
    first = operation.result.restore
    (target / MARKER).write_text(json.dumps({"job": order.job_id, "roots": [str(target)]}))
    asked = len(operation.keys_asked)
    story.world.offer_again(operation)
    story.world.await_status(operation, "completed", seconds=60)
    assert operation.result.restore == first
    assert not (target / MARKER).exists()
    assert len(operation.keys_asked) == asked


def test_a_filled_directory_is_refused_and_left_as_it_was(story, backup, root):
    target = root / "filled"
    target.mkdir()
    (target / "mine").write_text("precious")
    operation = story.restore(story.restore_order(target))
    assert operation.failure.error["kind"] == "TargetNotEmpty"
    assert [entry.name for entry in target.iterdir()] == ["mine"]


def test_a_half_done_restore_of_the_same_job_starts_over(story, backup, root):
    target = root / "half"
    spaces = {str(root / "space"): str(root / "half-space")}
    honest = story.world.release_keys

    def some_keys(operation_id, session_public_key):
        keys = SessionKeys(manifest=story.manifest_key(1), packs={})
        return seal_session(keys, session_public_key, operation_id)

    order = story.restore_order(target, tablespaces=spaces)
    story.world.release_keys = some_keys
    first = story.restore(order)
    story.world.release_keys = honest
    assert first.failure.error["kind"] == "WrongKey"
    assert f"rm -r {target} {root / 'half-space'}" in first.failure.error["hint"]
    assert any(target.iterdir())
    second = story.restore(order)
    assert second.failure is None, second.failure


def test_a_server_that_does_not_start_is_told_to_be_whole_and_a_port_that_is_taken_at_once(
    story, backup, root
):
    target, port = root / "idle", free_port()
    order = story.restore_order(
        target,
        start=True,
        port=port,
        tablespaces={str(root / "space"): str(root / "idle-space")},
        settings={"work_mem": "none"},
    )
    with socket.create_server(("127.0.0.1", port)):
        taken = story.restore(order).failure
    assert f"port {port} is taken" in taken.error["message"]
    assert not target.exists()
    failure = story.restore(order).failure
    assert "did not start" in failure.error["message"]
    assert f"{target} is restored and whole" in failure.error["hint"]
    assert f"-o '-p {port}' start" in failure.error["hint"]
    assert not (target / MARKER).exists()


def test_who_named_no_port_gets_another_where_the_configured_one_is_taken(
    story, backup, source, root
):
    target, port = root / "beside", free_port()
    order = story.restore_order(
        target,
        start=True,
        tablespaces={str(root / "space"): str(root / "beside-space")},
        settings={"port": str(port)},
    )
    with socket.create_server(("127.0.0.1", port)):
        operation = story.restore(order)
    assert operation.failure is None, operation.failure
    found = operation.result.restore.port
    assert found not in (0, port)
    server = restored(source, target, found)
    try:
        server.run("drop table item", database="shop")
    finally:
        scratch.stop(server.tools, target, "immediate")


def test_a_source_that_listens_on_its_socket_alone_has_its_port_still(story, backup, source, root):
    target, port = root / "beside-socket", free_port()
    order = story.restore_order(
        target,
        start=True,
        tablespaces={str(root / "space"): str(root / "beside-socket-space")},
        settings={"port": str(port)},
    )
    place = scratch.configured(source.tools, source.directory, "unix_socket_directories")
    path = Path(place, f".s.PGSQL.{port}")
    lock = path.with_name(f"{path.name}.lock")  # as a server has it, of a process that lives
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        lock.write_text(f"{os.getpid()}\n{root}\n0\n{port}\n{place}\n")
        try:
            operation = story.restore(order)
        finally:
            path.unlink()
            lock.unlink()
    assert operation.failure is None, operation.failure
    assert operation.result.restore.port not in (0, port)
    scratch.stop(source.tools, target, "immediate")


def test_keys_sealed_to_another_session_are_refused(story, backup, root):
    def wrong_session(operation_id, session_public_key):
        other = KeyPair.generate(SystemChance()).public.to_bytes()
        keys = SessionKeys(manifest=b"0" * 32, packs={})
        return seal_session(keys, other, operation_id)

    honest = story.world.release_keys
    story.world.release_keys = wrong_session
    operation = story.restore(story.restore_order(root / "wrong-session"))
    story.world.release_keys = honest
    assert operation.failure.error["kind"] == "WrongKey"
    assert not (root / "wrong-session").exists()


def test_a_manifest_under_another_points_name_is_refused(story, backup, root):
    story.blobs.create(f"p/{7:032x}.manifest", story.blobs.read(f"p/{1:032x}.manifest"))
    operation = story.restore(story.restore_order(root / "swapped", number=7))
    assert operation.failure.error["kind"] == "Corrupt"


def test_every_session_key_is_asked_for_once(story, clone):
    asked = [key for one in story.world.operations.values() for key in one.keys_asked]
    assert len(asked) == len(set(asked)) >= 2


def test_two_backups_one_after_the_other_both_work(story, backup, source):
    assert story.back_up(2).failure is None


def test_no_slot_and_no_connection_is_left_behind(source, backup):
    with source.connect() as connection:
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
        assert connection.execute("select count(*) from pg_stat_replication").fetchone() == (0,)


def test_the_restored_data_directory_is_its_owners_alone(clone):
    assert clone.directory.stat().st_mode & 0o077 == 0


def test_a_backup_beyond_its_quota_fails_at_once_with_a_next_step(story, backup):
    Container(f"{story.store.url}/{INSTANCE}", KEY, SystemClock()).give_identifier("job-9.1", 1000)
    order, access = story.backup_order(9)
    packs = a_sas(INSTANCE, f"g/{order.generation}", "d", "c", identifier="job-9.1")
    access.sas["packs"] = packs
    operation = story.world.offer(order, access=access, lease_seconds=30)
    story.world.await_that(lambda: operation.status in {"completed", "failed"}, 60)
    failure = operation.failure
    assert failure is not None
    assert failure.error["code"] == "StoreQuotaReached"
    assert "quota follows its size" in failure.error["hint"]
    assert not failure.retryable
    assert list(story.blobs.list("g/" + order.generation)) == []
