"""A restore writes into new or empty directories, beneath them alone, and only what is whole."""

import errno
import json
import os
import resource
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.servers import open_directory
from pg_manifests import pg_manifest_of
from strongroom.model.errors import (
    Cancelled,
    Corrupt,
    Invalid,
    TargetFull,
    TargetNotEmpty,
    TargetRefused,
)
from strongroom.postgres.restore import beneath
from strongroom.postgres.restore.beneath import MOST_OPEN, refused
from strongroom.postgres.restore.restore import MARKER, RestoredFile, RestoreTarget

pytestmark = pytest.mark.P7
PAGE = 8192
SEGMENT = "pg_wal/000000010000000000000020"  # of 1 MiB
WAL = [(1, "0/2000028", "0/2000100")]
CONTENTS = {
    "PG_VERSION": b"15\n",
    "base/5/1259": b"\1" * PAGE + b"\0" * PAGE * 3 + b"\2" * PAGE,
    "base/5/empty": b"",
    "global/pg_control": b"\4" * PAGE,
    "postgresql.auto.conf": b"# before\narchive_mode = 'on'\n",
}
LOG = {SEGMENT: b"\3" * (1 << 20)}


@pytest.fixture
def place():
    with open_directory() as directory:
        yield directory


def a_backup(contents=CONTENTS, log=LOG, more=()):
    files = [
        RestoredFile(path, len(data), 0o600, 0, "wal" if path in log else "other")
        for path, data in {**contents, **log}.items()
    ]
    return [*more, *files], {**contents, **log}


def restore(directory, contents=CONTENTS, log=LOG, more=(), moved=None, job="job-1", **options):
    files, data = a_backup(contents, log, more)
    target = RestoreTarget(directory, moved or {}, job)
    try:
        target.prepare(files)
        for index, file in enumerate(files):
            if file.path in data:
                target.write(index, 0, data[file.path])
        manifest = options.get("manifest") or pg_manifest_of(contents, options.get("wal", WAL))
        finished = target.finish(manifest, options.get("settings") or {})
        target.drop_marker()
        return finished
    finally:
        target.close()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def the_tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_what_was_written_is_there_and_the_marker_is_gone(place):
    finished = restore(place / "data")
    assert (place / "data/base/5/1259").read_bytes() == CONTENTS["base/5/1259"]
    assert (place / "data/base/5/empty").read_bytes() == b""
    assert finished.files == len(CONTENTS) + len(LOG)
    assert finished.written_bytes == sum(map(len, {**CONTENTS, **LOG}.values()))
    assert not (place / "data" / MARKER).exists()


def test_pages_of_zeros_are_holes(place):
    content = b"\1" * PAGE + bytes(PAGE * 1000) + b"\2" * 100
    restore(place / "data", {**CONTENTS, "base/5/1259": content})
    found = (place / "data/base/5/1259").stat()
    assert found.st_size == len(content)
    assert found.st_blocks * 512 < PAGE * 10


def test_modes_are_masked_whatever_the_backup_says(place):
    more = [RestoredFile("pg_notify", 0, 0o7777, 0, "directory")]
    restore(place / "data", more=more)
    for path in [place / "data", *(place / "data").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) in {0o600, 0o700}, path


@pytest.mark.parametrize("mask", [0o000, 0o277])
def test_the_umask_of_the_agent_does_not_matter(place, mask):
    before = os.umask(mask)
    try:
        restore(place / "data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((place / "data/base").stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "data/PG_VERSION").stat().st_mode) == 0o600


def test_everything_belongs_to_the_owner_of_the_parent(place):
    """Which is the server's user for root, and ourselves for everybody else."""
    restore(place / "data")
    owners = {path.stat().st_uid for path in [place / "data", *(place / "data").rglob("*")]}
    assert owners == {place.stat().st_uid}


def test_beneath_a_directory_of_roots_it_belongs_to_postgres(place):
    os.chown(place, os.geteuid(), -1)
    restore(place / "data")
    assert (place / "data/PG_VERSION").owner() != "root"


def test_a_filled_directory_is_refused_by_what_it_holds(place):
    (place / "data").mkdir()
    for name in ("a", "b", "c", "d"):
        (place / "data" / name).write_text("precious")
    with pytest.raises(TargetNotEmpty, match="it holds a, b, c and 1 more"):
        restore(place / "data")
    assert the_tree(place) == {"data", "data/a", "data/b", "data/c", "data/d"}


def test_a_link_as_target_is_refused(place):
    (place / "real").mkdir()
    (place / "data").symlink_to(place / "real")
    with pytest.raises(TargetRefused, match="is a link"):
        restore(place / "data")
    assert list((place / "real").iterdir()) == []


def test_a_file_as_target_is_refused(place):
    (place / "data").write_text("x")
    with pytest.raises(TargetRefused):
        restore(place / "data")


def test_an_empty_directory_is_as_good_as_a_new_one(place):
    (place / "data").mkdir(mode=0o777)
    restore(place / "data")
    assert stat.S_IMODE((place / "data").stat().st_mode) == 0o700


@pytest.mark.D1
def test_too_little_space_is_said_with_both_numbers_before_anything_is_written(place):
    files, _ = a_backup(more=[RestoredFile("base/5/huge", 1 << 46, 0o600, 0, "main")])
    with pytest.raises(TargetFull) as caught:
        RestoreTarget(place / "data", {}, "job-1").prepare(files)
    assert caught.value.facts["neededBytes"] > 1 << 46 > caught.value.facts["freeBytes"] > 0
    assert f"{caught.value.facts['freeBytes']:,}" in caught.value.message
    assert not (place / "data").exists()


def test_a_half_done_restore_is_taken_up_by_its_own_job_alone(place):
    first = RestoreTarget(place / "data", {}, "job-1")
    files, data = a_backup()
    first.prepare(files)
    first.write(0, 0, data["PG_VERSION"])
    first.close()
    (place / "data/base/5/left-over").write_text("x")
    with pytest.raises(TargetNotEmpty) as caught:
        restore(place / "data", job="job-2")
    assert f"rm -r {place / 'data'}" in caught.value.hint
    restore(place / "data", job="job-1")
    assert not (place / "data/base/5/left-over").exists()


def test_a_restore_that_failed_its_check_keeps_its_marker(place):
    with pytest.raises(Corrupt):
        restore(place / "data", manifest=pg_manifest_of({**CONTENTS, "PG_VERSION": b"16\n"}, WAL))
    assert (place / "data" / MARKER).exists()


def test_a_restore_that_was_whole_when_it_was_killed_begins_again_or_loses_its_marker(place):
    files, data = a_backup()
    first = RestoreTarget(place / "data", {}, "job-1")
    first.prepare(files)
    for index, file in enumerate(files):
        first.write(index, 0, data[file.path])
    first.finish(pg_manifest_of(CONTENTS, WAL), {})
    assert (place / "data" / MARKER).exists()
    assert not (place / "data/global/pg_control").exists(), "a server would start"
    with pytest.raises(TargetNotEmpty):
        restore(place / "data", job="job-2")
    with pytest.raises(TargetNotEmpty):
        RestoreTarget(place / "data", {}, "job-2").drop_marker()
    restore(place / "data", job="job-1")
    before = the_tree(place)
    again = RestoreTarget(place / "data", {}, "job-1")
    again.drop_marker()
    again.drop_marker()
    assert the_tree(place) == before


def test_a_restore_that_was_killed_as_it_put_its_marker_down_begins_again(place):
    (place / "data").mkdir()
    (place / "data" / MARKER).touch()
    restore(place / "data")
    assert (place / "data/PG_VERSION").read_bytes() == b"15\n"


def test_an_empty_marker_beside_anything_else_opens_nothing(place):
    (place / "data").mkdir()
    (place / "data" / MARKER).touch()
    (place / "data/mine").write_text("precious")
    with pytest.raises(TargetNotEmpty):
        restore(place / "data")
    assert (place / "data/mine").read_text() == "precious"


def test_the_last_check_tells_what_it_has_read_and_can_be_stopped(place):
    files, data = a_backup()
    target = RestoreTarget(place / "data", {}, "job-1")
    target.prepare(files)
    for index, file in enumerate(files):
        target.write(index, 0, data[file.path])
    seen: list[int] = []

    def watch(count: int) -> None:
        seen.append(count)
        if len(seen) >= 2:
            raise Cancelled("enough")

    manifest = pg_manifest_of(CONTENTS, WAL)
    with pytest.raises(Cancelled):
        target.finish(manifest, {}, watch=watch)
    assert len(seen) >= 2
    assert not [t.name for t in threading.enumerate() if t.name.startswith("sum")]
    assert (place / "data" / MARKER).exists()
    seen.clear()
    target.finish(manifest, {}, watch=seen.append)
    assert sum(seen) == sum(map(len, CONTENTS.values()))


def test_a_forged_marker_opens_nothing(place):
    (place / "data").mkdir()
    (place / "data" / MARKER).write_text("[1, 2")
    with pytest.raises(TargetNotEmpty):
        restore(place / "data")
    (place / "data" / MARKER).write_text(json.dumps({"job": "job-1", "roots": ["/etc"]}))
    with pytest.raises(TargetNotEmpty):
        restore(place / "data")


def test_bytes_beyond_a_file_are_refused(place):
    files, _ = a_backup()
    target = RestoreTarget(place / "data", {}, "job-1")
    target.prepare(files)
    for index, offset, data in (
        (0, 1, b"16\n"),
        (0, -1, b"1"),
        (0, 1 << 63, b"1"),
        (len(files), 0, b"1"),
        (-1, 0, b"1"),
    ):
        with pytest.raises(TargetRefused):
            target.write(index, offset, data)
    target.close()


@pytest.mark.parametrize("path", ["../outside", "/tmp/outside", "a/../../outside"])
def test_a_hostile_name_writes_nothing_at_all(place, path):
    with pytest.raises(TargetRefused):
        restore(place / "data", {**CONTENTS, path: b"x"})
    assert the_tree(place) == set()


def test_a_name_too_long_for_the_file_system_is_refused(place):
    with pytest.raises(TargetRefused):
        restore(place / "data", {**CONTENTS, "x" * 4096: b"x"})


def test_a_file_beneath_a_file_is_refused(place):
    with pytest.raises(TargetRefused):
        restore(place / "data", {**CONTENTS, "PG_VERSION/x": b"x"})


def test_odd_names_are_only_names(place):
    odd = {name: b"odd" for name in ("a\nb", "\u202e", "<b>", "%2e%2e", "...", "-rf", "~", "é")}
    restore(place / "data", {**CONTENTS, **odd})
    for name in odd:
        assert (place / "data" / name).read_bytes() == b"odd"


@pytest.mark.parametrize("swapped", ["base", "base/5"])
def test_a_link_put_in_while_we_write_is_not_followed(place, swapped):
    files, data = a_backup()
    target = RestoreTarget(place / "data", {}, "job-1")
    target.prepare(files)
    (place / "outside/5").mkdir(parents=True)
    (place / "outside/5/1259").write_bytes(b"mine")
    (place / "outside/1259").write_bytes(b"mine")
    (place / "data" / swapped).rename(place / "aside")
    (place / "data" / swapped).symlink_to(place / "outside")
    index = [file.path for file in files].index("base/5/1259")
    with pytest.raises(TargetRefused):
        target.write(index, 0, data["base/5/1259"])
    target.close()
    assert (place / "outside/5/1259").read_bytes() == b"mine"
    assert (place / "outside/1259").read_bytes() == b"mine"


def test_what_would_make_it_another_ones_server_is_left_out(place):
    hostile = {
        name: b"x"
        for name in (
            "standby.signal",
            "recovery.signal",
            "postmaster.pid",
            "postmaster.opts",
            "tablespace_map",
        )
    }
    restore(place / "data", {**CONTENTS, **hostile})
    assert not set(hostile) & the_tree(place / "data")


TABLESPACE = "pg_tblspc/16384"


def with_tablespace(location: Path):
    link = RestoredFile(TABLESPACE, 0, 0o700, 0, "link", str(location))
    return {
        "contents": {**CONTENTS, f"{TABLESPACE}/PG_15_1/5/16390": b"\4" * PAGE},
        "more": [link],
    }


def test_a_tablespace_goes_to_its_original_place_when_that_is_free(place):
    restore(place / "data", **with_tablespace(place / "space"))
    assert (place / "data" / TABLESPACE).readlink() == place / "space"
    assert (place / "space/PG_15_1/5/16390").read_bytes() == b"\4" * PAGE


def test_a_filled_tablespace_is_refused_with_the_option_that_moves_it(place):
    (place / "space").mkdir()
    (place / "space/PG_15_1").mkdir()
    with pytest.raises(TargetNotEmpty) as caught:
        restore(place / "data", **with_tablespace(place / "space"))
    assert f"--tablespace {place / 'space'}=NEW" in caught.value.hint
    assert the_tree(place) == {"space", "space/PG_15_1"}
    moved = {str(place / "space"): str(place / "new")}
    restore(place / "data", **with_tablespace(place / "space"), moved=moved)
    assert (place / "data" / TABLESPACE).readlink() == place / "new"


@pytest.mark.parametrize("where", ["data", "data/inside", "."])
def test_a_tablespace_in_the_data_directory_or_around_it_is_refused(place, where):
    with pytest.raises(TargetRefused, match="in one another"):
        restore(place / "data", **with_tablespace(Path(os.path.normpath(place / where))))


def test_two_tablespaces_at_one_place_are_refused(place):
    more = [
        RestoredFile("pg_tblspc/1", 0, 0o700, 0, "link", str(place / "one")),
        RestoredFile("pg_tblspc/2", 0, 0o700, 0, "link", str(place / "one")),
    ]
    with pytest.raises(TargetRefused, match="in one another"):
        restore(place / "data", more=more)


def test_a_second_try_clears_its_tablespaces_too(place):
    files, _ = a_backup(**with_tablespace(place / "space"))
    first = RestoreTarget(place / "data", {}, "job-1")
    first.prepare(files)
    first.close()
    assert any((place / "space").iterdir())
    restore(place / "data", **with_tablespace(place / "space"))


def test_one_changed_bit_names_its_file(place):
    content = bytearray(CONTENTS["base/5/1259"])
    content[5] ^= 1
    manifest = pg_manifest_of(CONTENTS, WAL)
    with pytest.raises(Corrupt) as caught:
        restore(place / "data", {**CONTENTS, "base/5/1259": bytes(content)}, manifest=manifest)
    assert caught.value.facts == {"path": "base/5/1259"}


def test_a_file_that_postgres_did_not_send_is_refused(place):
    manifest = pg_manifest_of(CONTENTS, WAL)
    with pytest.raises(Corrupt, match="planted"):
        restore(place / "data", {**CONTENTS, "planted": b"x"}, manifest=manifest)


def test_a_file_that_is_missing_is_named(place):
    manifest = pg_manifest_of({**CONTENTS, "base/5/2": b"x"}, WAL)
    with pytest.raises(Corrupt, match="base/5/2"):
        restore(place / "data", manifest=manifest)


@pytest.mark.parametrize("wal", [[(1, "0/2000028", "0/3000100")], [(2, "0/2000028", "0/2000100")]])
def test_a_missing_segment_is_named(place, wal):
    with pytest.raises(Corrupt, match="lacks write-ahead log: 0000000"):
        restore(place / "data", log={"pg_wal/000000010000000000000002": bytes(16 << 20)}, wal=wal)


def test_without_any_log_nothing_is_restored(place):
    with pytest.raises(Corrupt, match="lacks write-ahead log"):
        restore(place / "data", log={})


def test_hostile_settings_are_turned_off_and_ours_come_last(place):
    restore(place / "data", settings={"port": "5433", "application_name": "it's \\ mine"})
    lines = (place / "data/postgresql.auto.conf").read_text().splitlines()
    assert lines[:2] == ["# before", "archive_mode = 'on'"]
    assert "archive_mode = 'off'" in lines[2:]
    assert "archive_command = ''" in lines
    assert lines[-2:] == ["port = '5433'", "application_name = 'it''s \\\\ mine'"]


def test_a_setting_that_is_two_lines_is_refused_before_the_restore_counts(place):
    with pytest.raises(Invalid):
        restore(place / "data", settings={"port": "1\nssl = off"})
    assert (place / "data" / MARKER).exists()


def test_many_threads_and_more_files_than_may_be_open(place):
    contents = {f"base/5/{n}": n.to_bytes(2, "big") * PAGE for n in range(1, 3 * MOST_OPEN)}
    files, data = a_backup({**CONTENTS, **contents})
    target = RestoreTarget(place / "data", {}, "job-1")
    target.prepare(files)
    most = 0

    def write(piece: tuple[int, int]) -> None:
        nonlocal most
        index, offset = piece
        target.write(index, offset, data[files[index].path][offset : offset + PAGE])
        most = max(most, open_files())

    ours = [index for index, file in enumerate(files) if file.path in contents]
    pieces = [(index, offset) for offset in (PAGE, 0) for index in ours]
    before = open_files()
    others = [i for i, f in enumerate(files) if f.path not in contents]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, pieces))
    for index in others:
        target.write(index, 0, data[files[index].path])
    target.finish(pg_manifest_of({**CONTENTS, **contents}, WAL), {})
    assert most <= before + MOST_OPEN + 8
    assert open_files() < before


def test_in_part_small_files_are_there_once_they_are_asked_for(place):
    contents = {f"base/5/{n}": n.to_bytes(2, "big") * PAGE for n in range(1, 5)}
    files, data = a_backup({**CONTENTS, **contents})
    large = RestoredFile("base/5/77", (1 << 20) + PAGE, 0o600, 0, "main")
    target = RestoreTarget(place / "data", {}, "job-1")
    target.prepare([*files, large], in_part=True)
    assert (place / "data" / "base" / "5" / "77").stat().st_size == large.size
    wanted = [i for i, file in enumerate(files) if file.path in {"base/5/2", "base/5/4"}]
    for _ in range(2):  # safe twice
        target.make(wanted)
    there = {path.name for path in (place / "data" / "base" / "5").iterdir()}
    assert there & {"1", "2", "3", "4"} == {"2", "4"}
    for index in wanted:
        target.write(index, 0, data[files[index].path])
        assert b"".join(target.pages(index)) == data[files[index].path]
    target.close()


def test_a_write_that_the_system_refuses_is_typed(place):
    files, _ = a_backup({**CONTENTS, "big": b"x" * (1 << 20)})
    index = [file.path for file in files].index("big")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = RestoreTarget(place / "data", {}, "job-1")
    target.prepare(files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(TargetRefused, match="Too many open files"):
            target.write(index, 0, b"x")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        target.close()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, TargetFull),
        (errno.EDQUOT, TargetFull),
        (errno.EACCES, TargetRefused),
        (errno.EIO, TargetRefused),
    ],
)
def test_the_systems_no_is_typed_by_its_number(number, kind):
    assert type(refused(OSError(number, os.strerror(number)), "x")) is kind


def test_where_the_system_has_no_one_barrier_each_file_is_synced(place, monkeypatch):
    monkeypatch.setattr(beneath, "_sync_file_system", lambda descriptor: False)
    restore(place / "data")
    assert (place / "data/PG_VERSION").read_bytes() == b"15\n"


def test_closing_twice_is_safe(place):
    target = RestoreTarget(place / "data", {}, "job-1")
    target.close()
    target.prepare(a_backup()[0])
    target.close()
    target.close()


@pytest.mark.parametrize("path", ["relative", "/srv/../etc"])
def test_a_target_is_an_absolute_path(path):
    with pytest.raises(TargetRefused, match="absolute"):
        RestoreTarget(Path(path), {}, "job-1")
