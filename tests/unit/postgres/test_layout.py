"""What may be restored, and where it goes: decided before anything is touched."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.model.errors import Invalid, TargetRefused
from strongroom.postgres.restore.layout import RestoredFile, lay_out
from strongroom.postgres.restore.restored_settings import check_settings, read_settings

TARGET = Path("/srv/restored")


def a_file(path: str, size: int = 1, mode: int = 0o600, kind: str = "other", link: str = ""):
    return RestoredFile(path, size, mode, 0, kind, link)


def laid_out(*files, moved=None):
    return lay_out(TARGET, files, moved or {})


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a/.", "", "a/", "a\0b", ".."]
)
def test_a_name_that_leads_outside_is_refused(path):
    with pytest.raises(TargetRefused, match="outside"):
        laid_out(a_file(path))


@pytest.mark.parametrize("kind", ["device", "fifo", "socket", "hardlink", ""])
def test_only_files_directories_and_links_are_restored(kind):
    with pytest.raises(TargetRefused, match="neither"):
        laid_out(a_file("x", kind=kind))


@pytest.mark.parametrize(
    "path", ["base/5", "pg_wal", "pg_tblspc/x", "pg_tblspc/1/2", "pg_tblspc/²", "pg_tblspc/1\n"]
)
def test_only_tablespaces_are_links(path):
    with pytest.raises(TargetRefused, match="no tablespace"):
        laid_out(a_file(path, kind="link", link="/mnt"))


@pytest.mark.parametrize("target", ["relative", "../../etc", "/mnt/../etc", "", "/a\0b"])
def test_a_tablespace_lies_at_an_absolute_path(target):
    with pytest.raises(TargetRefused, match="absolute"):
        laid_out(a_file("pg_tblspc/1", kind="link", link=target))


@pytest.mark.parametrize("size", [-1, 1 << 63, (1 << 46) + 1])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(TargetRefused, match="impossible size"):
        laid_out(a_file("x", size))


def test_a_name_twice_is_refused():
    with pytest.raises(TargetRefused, match="twice"):
        laid_out(a_file("x"), a_file("x"))


def test_a_mapping_of_no_tablespace_is_refused():
    with pytest.raises(TargetRefused, match="no tablespace at /mnt/typo"):
        laid_out(a_file("x"), moved={"/mnt/typo": "/new"})


def test_files_of_a_tablespace_go_where_it_goes():
    layout = laid_out(
        a_file("base/5/1"),
        a_file("pg_tblspc/16384", kind="link", link="/mnt/fast"),
        a_file("pg_tblspc/16384/PG_17/5/2", 8192),
        a_file("pg_tblspc/16385/PG_17/5/3", 8192),  # in place: no link
        moved={"/mnt/fast": "/mnt/new"},
    )
    assert layout.places == {"": TARGET, "pg_tblspc/16384": Path("/mnt/new")}
    assert layout.root_of(0) == ("", ("base", "5", "1"))
    assert layout.root_of(1) == ("", ("pg_tblspc", "16384"))
    assert layout.root_of(2) == ("pg_tblspc/16384", ("PG_17", "5", "2"))
    assert layout.root_of(3) == ("", ("pg_tblspc", "16385", "PG_17", "5", "3"))
    assert layout.sizes() == {"": 8193, "pg_tblspc/16384": 8192}


def test_modes_are_the_owners_alone_unless_the_source_lets_its_group_read():
    assert laid_out(a_file("PG_VERSION", mode=0o6777 & ~0o040)).file_mode == 0o600
    group = laid_out(a_file("PG_VERSION", mode=0o4640), a_file("x", mode=0o777))
    assert (group.file_mode, group.directory_mode) == (0o640, 0o750)


def test_settings_are_read_as_the_server_reads_them():
    text = """
    # port = 1
    Port = 5433            # a comment
    archive_command 'cp %p ''/a b/%f'''
    shared_preload_libraries='a, b'
    work_mem = 4MB
    work_mem = 8MB
    myapp.key = 'x'
    """
    assert read_settings(text) == {
        "port": "5433",
        "archive_command": "cp %p '/a b/%f'",
        "shared_preload_libraries": "a, b",
        "work_mem": "8MB",
        "myapp.key": "x",
    }


@given(st.text(max_size=200))
@example("= = =")
@example("a" * 10_000)
def test_any_text_is_read(text):
    assert all(name == name.lower() for name in read_settings(text))


@pytest.mark.parametrize(
    "settings",
    [
        {"port = 1\nx": "y"},
        {"": "y"},
        {"work_mem": "1\narchive_mode = on"},
        {"work_mem": "a\0"},
        {"data_directory": "/elsewhere"},
        {"config_file": "/elsewhere"},
        {"a.b.c": "x"},
    ],
)
def test_settings_that_could_say_more_than_they_are_refused(settings):
    with pytest.raises(Invalid):
        check_settings(settings)


def test_ordinary_settings_pass():
    check_settings({"port": "5433", "my.key": "it's", "Work_Mem": "4MB"})
