"""Back up a busy server over the replication protocol, restore it, start it, compare it."""

import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.copies import Copy, back_up
from integration.servers import MAJORS, Server, open_directory, own, run_restored, start_server
from strongroom.model.errors import TargetNotEmpty
from strongroom.postgres.wire.backup_label import parse_backup_label

pytestmark = pytest.mark.postgres

ODD_NAMES = ("odd name", "line\nbreak", "right\u202eleft", "<b>&amp;", "%2e%2e", "ünï")


class Story:
    """A server under load, its backup, and what it was restored to."""

    def __init__(self, source: Server, space: Path, moved: Path, copy: Copy) -> None:
        self.source, self.space, self.moved, self.copy = source, space, moved, copy
        self.clone: Server
        self.steps: list[str] = []


def _fill(server: Server, space: Path) -> None:
    server.sql(
        f"create tablespace fast location '{space}'",
        "create table item (id int primary key, name text, note text)",
        "insert into item select n, md5(n::text), repeat(md5((n * 7)::text), 8) "
        "from generate_series(1, 40000) n",
        "create index on item (name)",
        'create table "odd ""table""" (a text)',
        'insert into "odd ""table""" values (\'<script>\'), (E\'line\\nbreak\')',
        "create table priced (id int primary key, price numeric) tablespace fast",
        "insert into priced select n, n * 1.5 from generate_series(1, 20000) n",
        "create table empty (id int)",
        "create unlogged table draft (id int)",
        "insert into draft values (1)",
        "create extension pg_trgm",
        "create extension amcheck",
        "create table ticks (n int primary key)",
        "select lo_from_bytea(4711, decode(repeat('ab', 50000), 'hex'))",
    )
    for name in ODD_NAMES:
        own(_write(server.data_directory / name, b"odd" * 5000))
    own(_write(server.data_directory / "empty file", b""))


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _tick(server: Server, done: threading.Event) -> None:
    with server.connect() as connection:
        n = 0
        while not done.is_set():
            n += 1
            connection.execute("insert into ticks values (%s)", (n,))


@pytest.fixture(scope="module", params=MAJORS)
def story(request) -> Iterator[Story]:
    with (
        start_server(
            request.param,
            options=("--data-checksums",),
            archive_mode="on",
            archive_command="/bin/false",
            cluster_name="source",
        ) as source,
        open_directory() as place,
    ):
        space = own(_make(place / "space"))
        _fill(source, space)
        done = threading.Event()
        ticking = threading.Thread(target=_tick, args=(source, done))
        ticking.start()
        try:
            copy = back_up(source.parsed())
        finally:
            done.set()
            ticking.join()
        story = Story(source, space, place / "moved", copy)
        directory = place / "restored"
        story.steps = copy.restore(directory, {str(space): str(story.moved)}).next_steps
        with run_restored(source, directory) as story.clone:
            yield story


def _make(path: Path) -> Path:
    path.mkdir()
    return path


def test_rows_are_equal(story):
    ours, theirs = story.source.digests(), story.clone.digests()
    for changing in ("public.ticks", "public.draft"):
        ours.pop(changing)
        theirs.pop(changing)
    assert theirs == ours
    assert story.clone.sql("select md5(lo_get(4711))") == story.source.sql(
        "select md5(lo_get(4711))"
    )


def test_what_was_committed_during_the_backup_is_there_without_a_hole(story):
    count, last = story.clone.sql("select count(*), coalesce(max(n), 0) from ticks")[0]
    assert count == last > 0


def test_an_unlogged_table_comes_back_empty(story):
    assert story.clone.sql("select count(*) from draft") == [(0,)]


def test_every_index_agrees_with_its_table(story):
    indexes = story.clone.sql(
        "select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam "
        "where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p'"
    )
    assert len(indexes) > 100


def test_pg_amcheck_finds_nothing(story):
    program = story.source.tools.directory / "pg_amcheck"
    done = subprocess.run(
        [
            program,
            "-h",
            story.clone.home,
            "-p",
            str(story.clone.port),
            "-U",
            "postgres",
            "--heapallindexed",
            "postgres",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tablespace_moved_and_the_sources_was_not_touched(story):
    assert story.clone.sql(
        "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'fast'"
    ) == [(str(story.moved),)]
    assert story.source.sql("select count(*) from priced") == [(20000,)]


def test_odd_names_and_an_empty_file_come_back(story):
    for name in ODD_NAMES:
        assert (story.clone.data_directory / name).read_bytes() == b"odd" * 5000
    assert (story.clone.data_directory / "empty file").read_bytes() == b""


def test_the_clone_archives_nothing_and_says_so(story):
    assert story.clone.sql("show archive_mode") == [("off",)]
    assert story.clone.sql("show cluster_name") == [("source",)]
    assert any("Archiving is off" in step for step in story.steps)


def test_files_are_the_owners_alone_and_of_one_owner(story):
    clone = story.clone.data_directory
    for directory, _, names in os.walk(clone):
        for path in [Path(directory), *(Path(directory, name) for name in names)]:
            found = path.lstat()
            assert stat.S_IMODE(found.st_mode) & 0o077 == 0 or path.is_symlink(), path
            assert found.st_uid == clone.parent.stat().st_uid


def test_nothing_of_the_restore_is_left_behind(story):
    assert not (story.clone.data_directory / "strongroom-restore.json").exists()


def test_the_copy_holds_the_label_and_the_log_of_its_window(story):
    label = parse_backup_label(story.copy.content("backup_label"))
    assert label.start == story.copy.started.start_lsn
    assert label.label == "a test"
    assert not label.incremental
    assert f"pg_wal/{label.start_file}" in story.copy.paths


def test_what_a_running_server_keeps_for_itself_is_not_copied(story):
    assert not {"postmaster.pid", "postmaster.opts"} & story.copy.paths
    assert "pg_wal" in story.copy.paths


def test_the_facts_are_the_servers(story):
    started = story.copy.started
    identifier = story.source.sql("select system_identifier from pg_control_system()")[0][0]
    assert started.system_identifier == identifier
    assert started.checksums
    assert started.wal_segment_size == 16 << 20
    assert started.version_number // 10000 == story.source.tools.major
    assert [space.location for space in started.tablespaces] == [str(story.space)]
    assert story.copy.ended.stop_lsn > started.start_lsn


def test_relations_are_told_from_other_files(story):
    kinds = {file.path: file.kind for file in story.copy.files}
    assert kinds["global/1262"] == "main"
    assert kinds["global/pg_control"] == "other"
    assert all(kind == "wal" for path, kind in kinds.items() if path.startswith("pg_wal/0000"))


def test_no_slot_and_no_connection_is_left_behind(story):
    assert story.source.sql("select count(*) from pg_replication_slots") == [(0,)]
    assert story.source.sql("select count(*) from pg_stat_replication") == [(0,)]


def test_the_original_tablespace_is_refused_while_it_is_filled(story, tmp_path):
    with pytest.raises(TargetNotEmpty) as caught:
        story.copy.restore(tmp_path / "again")
    assert str(story.space) in caught.value.message
    assert f"--tablespace {story.space}=NEW" in caught.value.hint
    assert not (tmp_path / "again").exists()
