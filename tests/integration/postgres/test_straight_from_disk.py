"""Reading the data directory itself: the same files as the stream, and the truth about them."""

import os
import subprocess
from functools import partial

import pytest

from integration.copies import back_up
from integration.servers import MAJORS, run_restored, start_server
from strongroom.model.errors import SourceRefused
from strongroom.model.postgres import PAGE, Lsn
from strongroom.postgres.backup.local import disk_backup
from strongroom.postgres.backup.page_check import PageCheck
from strongroom.postgres.backup.read_ahead import PIECE
from strongroom.postgres.backup.whereabouts import data_directory_of
from strongroom.postgres.pages.page_checksum import wrong_pages
from strongroom.postgres.server import scratch
from strongroom.postgres.server.events import FileBegun, Started

pytestmark = [pytest.mark.postgres, pytest.mark.B5]


@pytest.fixture(scope="module", params=MAJORS)
def server(request):
    with start_server(request.param, options=("--data-checksums",), autovacuum="off") as found:
        found.sql(
            "create table t as select g as id, md5(g::text) from generate_series(1, 50000) g",
            "create index on t (id)",
            "create unlogged table gone as select 1",
            "checkpoint",
        )
        yield found


def from_disk(server, on_event=lambda _: None, readers=1):
    directory = data_directory_of(server.parsed())
    read = partial(disk_backup, directory=directory, readers=readers)
    return back_up(server.parsed(), on_event, read=read)


def file_of(server, table):
    return server.sql(f"select pg_relation_filepath('{table}')")[0][0]


def test_the_disk_gives_the_files_that_the_stream_gives(server):
    streamed, read = back_up(server.parsed()), from_disk(server)
    log = "pg_wal/0"
    assert {p for p in read.paths if not p.startswith(log)} == {
        p for p in streamed.paths if not p.startswith(log)
    }
    assert read.warnings == []


def test_postgresql_itself_accepts_what_was_read(server, tmp_path):
    read = from_disk(server)
    for file, content in zip(read.files, read.contents, strict=True):
        place = tmp_path / file.path
        if file.kind == "directory":
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    (tmp_path / "backup_manifest").write_bytes(read.pg_manifest)
    program = server.tools.program("pg_verifybackup")
    done = subprocess.run([program, "-n", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_read_under_load_starts_and_holds_every_row(server, tmp_path):
    def write_meanwhile(event):
        if isinstance(event, FileBegun) and event.path.endswith("/1259"):
            server.sql("update t set id = id + 1", "checkpoint", "vacuum t")

    read = from_disk(server, write_meanwhile)
    before = server.digests()
    with start_target(server, read) as restored:
        assert restored.digests()["public.t"] == before["public.t"]


def start_target(server, read):
    directory = server.home / f"restored-{os.urandom(4).hex()}"
    read.restore(directory)
    if os.geteuid() == 0:
        user = scratch.server_user()
        for place in (directory, *directory.rglob("*")):
            os.chown(place, user.uid, user.gid, follow_symlinks=False)
    return run_restored(server, directory)


@pytest.mark.parametrize(
    ("place", "value"), [(5000, 1), (8, 1), (14, 0), (0, 0xFF)], ids=["row", "sum", "upper", "lsn"]
)
def test_a_damaged_page_is_told_with_file_and_block_and_the_rest_comes(server, place, value):
    path = file_of(server, "t")
    file = server.data_directory / path
    server.sql("checkpoint")  # nothing is left in memory that would be written over the damage
    whole = file.read_bytes()
    damaged = bytearray(whole)
    at = 3 * PAGE + place
    if place == 14:
        damaged[at : at + 2] = b"\0\0"
    else:
        damaged[at] ^= value
    try:
        file.write_bytes(damaged)
        read = from_disk(server)
    finally:
        file.write_bytes(whole)
    assert [(w.facts["path"], w.facts["blocks"]) for w in read.warnings] == [(path, [3])]
    assert read.content(path) == bytes(damaged)


def test_several_readers_give_the_same_file_and_name_damage_in_each_of_its_pieces(server):
    server.sql("create table wide as select g, repeat('x', 1000) from generate_series(1, 26000) g")
    path = file_of(server, "wide")
    file = server.data_directory / path
    server.sql("checkpoint")
    whole = file.read_bytes()
    blocks = range(3, len(whole) // PAGE, 600)  # a piece has 1,024
    assert len(whole) > 3 * PIECE
    damaged = bytearray(whole)
    for block in blocks:
        damaged[block * PAGE + 5000] ^= 1
    try:
        file.write_bytes(damaged)
        read = from_disk(server, readers=4)
    finally:
        file.write_bytes(whole)
    assert [(w.facts["path"], w.facts["blocks"]) for w in read.warnings] == [(path, [*blocks])]
    assert read.content(path) == bytes(damaged)
    server.sql("drop table wide", "checkpoint")


def test_a_page_that_the_log_repairs_is_no_damage(server):
    path = file_of(server, "t")
    page = bytearray((server.data_directory / path).read_bytes()[:PAGE])
    page[4000] ^= 1
    place = server.home / "torn"
    place.write_bytes(page)
    descriptor = os.open(place, os.O_RDONLY)
    try:
        check = PageCheck(Lsn(0), lambda: Lsn(1 << 63)).of_file(descriptor, path)
        assert check.checked(bytes(page), 0) == bytes(page)
        assert wrong_pages(bytes(page), 0) == [0]
        assert check.damaged.count == 0
    finally:
        os.close(descriptor)


def test_of_small_files_looked_at_together_each_is_judged_by_itself(server):
    path = file_of(server, "t")
    whole = (server.data_directory / path).read_bytes()
    changed = bytearray(whole)
    changed[5000] ^= 1
    pages = PageCheck(Lsn(0), lambda: Lsn(0))
    files = [
        (path, whole),
        (path, bytes(changed)),
        (f"{path}.1", whole),
        ("PG_VERSION", b"15\n"),
        (path, b""),
        (path, bytes(PAGE) + whole[PAGE:]),
        (path, whole + b"half a page"),
    ]
    assert pages.are_whole(files) == [True, False, False, True, True, True, True]


def test_a_page_that_is_whole_a_moment_later_is_taken_as_it_is_then(server):
    path = file_of(server, "t")
    page = (server.data_directory / path).read_bytes()[:PAGE]
    place = server.home / "whole"
    place.write_bytes(page)
    torn = page[: PAGE // 2] + bytes(PAGE // 2)
    descriptor = os.open(place, os.O_RDONLY)
    try:
        check = PageCheck(Lsn(1 << 63), lambda: Lsn(1 << 63)).of_file(descriptor, path)
        assert check.checked(torn, 0) == page
        assert check.damaged.count == 0
    finally:
        os.close(descriptor)


def test_files_that_vanish_grow_and_shrink_while_they_are_read_end_no_backup(server):
    size = 5 << 20
    names = ("a_shrinks", "b_grows", "c_vanishes")
    shrinks, grows, vanishes = (server.data_directory / name for name in names)

    def change(event):
        if not isinstance(event, FileBegun) or event.path not in names:
            return
        if event.path == "a_shrinks":
            os.truncate(shrinks, 100)
            vanishes.unlink()
        else:
            with grows.open("ab") as file:
                file.write(b"y" * size)

    try:
        for place in (shrinks, grows, vanishes):
            place.write_bytes(b"x" * size)
        read = from_disk(server, change)
    finally:
        for place in (shrinks, grows, vanishes):
            place.unlink(missing_ok=True)
    assert read.content("a_shrinks") == b"x" * 100 + bytes(size - 100)
    assert read.content("b_grows") == b"x" * size
    assert "c_vanishes" not in read.paths


def test_a_file_that_may_not_be_read_fails_the_backup_by_name(server):
    place = server.data_directory / "unreadable"
    was = os.geteuid()
    place.write_bytes(b"x")
    place.chmod(0)

    def become_the_server(event):
        if isinstance(event, Started) and was == 0:
            os.seteuid(scratch.server_user().uid)

    try:
        with pytest.raises(SourceRefused, match=r"may not read .*/unreadable") as refused:
            from_disk(server, become_the_server)
    finally:
        os.seteuid(was)
        place.unlink()
    assert "--source stream" in refused.value.hint


def test_a_role_without_the_rights_is_told_the_grants_and_they_are_enough(server):
    server.sql("drop role if exists plain", "create role plain login replication")
    plain = server.parsed(user="plain")
    with pytest.raises(SourceRefused) as refused:
        data_directory_of(plain)
    grants = [f"{part};" for part in refused.value.hint.split(";") if "GRANT" in part]
    server.sql(*(grant[grant.index("GRANT") :] for grant in grants))
    directory = data_directory_of(plain)
    read = back_up(plain, read=partial(disk_backup, directory=directory))
    server.sql("drop owned by plain", "drop role plain")
    assert read.content("PG_VERSION")


def test_another_server_of_this_host_is_not_taken_for_this_one(server):
    with start_server(15) as other, pytest.raises(SourceRefused, match="not those of the server"):
        back_up(other.parsed(), read=partial(disk_backup, directory=server.data_directory))
