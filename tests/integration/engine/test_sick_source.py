"""B5: a server with a sick disk, or another in its place: told, never taken for a sound one."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from increments import Chain, a_chain
from integration.copies import back_up
from integration.servers import Server, own, some, start_server
from strongroom.model.errors import SourceRefused, SourceStopped
from strongroom.model.postgres import PAGE
from strongroom.postgres.backup.local import disk_backup

pytestmark = [pytest.mark.postgres, pytest.mark.B5]


def a_checked_server(major: int = 15) -> Any:
    return start_server(major, options=("--data-checksums",), autovacuum="off")


def fill(server: Server) -> Path:
    """-> the file of a table that nobody touches from here on."""
    server.sql(
        "create table t as select g from generate_series(1, 30000) g",
        "create table other as select g from generate_series(1, 3000) g",
        "checkpoint",
    )
    return server.data_directory / server.sql("select pg_relation_filepath('t')")[0][0]


def damage(file: Path, *blocks: int) -> None:
    with file.open("r+b") as opened:
        for block in blocks:
            opened.seek(block * PAGE + 5000)
            opened.write(b"damage")


def told(chain: Chain) -> list[tuple[str, list[int]]]:
    return [(w["facts"]["path"], w["facts"]["blocks"]) for w in chain.results[-1].warnings]


@pytest.mark.parametrize(
    ("major", "source"),
    [*((major, "stream") for major in some(14)), *((major, "disk") for major in some(18))],
)
def test_damaged_pages_are_named_and_everything_else_comes_back(major, source):
    with a_checked_server(major) as server, a_chain(server) as chain:
        file = fill(server)
        damage(file, 3, 70)
        where = str(file.relative_to(server.data_directory))
        chain.back_up(source=source)
        assert told(chain) == [(where, [3, 70])]
        server.sql("insert into other values (0)")
        assert chain.back_up(source=source).kind == "Incremental"
        assert told(chain) == [(where, [3, 70])]
        with chain.restored(1) as clone:
            assert clone.sql("select count(*), min(g) from other") == [(3001, 0)]
            assert clone.sql("select g from t where ctid = '(4,1)'")
            file = clone.data_directory / where
            assert file.read_bytes()[3 * PAGE + 5000 :][:6] == b"damage"


@contextmanager
def a_disk_that_fails(monkeypatch: pytest.MonkeyPatch, file: Path) -> Iterator[None]:
    """Reading this file ends as on a disk with a bad sector."""

    def sick(real: Any) -> Any:
        def read(descriptor: int, *more: Any) -> Any:
            if Path(f"/proc/self/fd/{descriptor}").readlink() == file:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor, *more)

        return read

    with monkeypatch.context() as within:
        for name in ("pread", "preadv", "read", "readv"):
            within.setattr(os, name, sick(getattr(os, name)))
        yield


def test_a_file_that_the_disk_does_not_give_fails_the_backup_by_name(monkeypatch):
    with a_checked_server() as server, a_chain(server) as chain:
        file = fill(server)
        with (
            a_disk_that_fails(monkeypatch, file),
            pytest.raises(SourceStopped, match="Input/output error") as failed,
        ):
            chain.back_up(source="disk")
        assert failed.value.facts["path"] == str(file)
        assert "Test the disk" in failed.value.hint
        assert chain.manifests == []
        chain.back_up(source="disk")
        assert told(chain) == []


@contextmanager
def another_in_its_place(server: Server, other: Path) -> Iterator[None]:
    """The server goes on in the directory it was started in, which has moved from under its name:
    as when it lies in a container, or was mounted over. `other` lies in its place.
    """
    place, aside = server.data_directory, server.data_directory.with_name("aside")
    place.rename(aside)
    shutil.copytree(other, place, symlinks=True)
    for path in (place, *place.rglob("*")):
        own(path)
    place.chmod(0o700)
    try:
        yield
    finally:
        shutil.rmtree(place)
        aside.rename(place)


def test_another_servers_directory_in_its_place_is_refused_and_the_stream_is_right():
    with a_checked_server() as server, a_chain(server) as chain:
        fill(server)
        with a_checked_server() as stranger:
            stranger.sql("create table strange (id int)")
            with another_in_its_place(server, stranger.data_directory):
                with pytest.raises(SourceRefused, match="another server"):
                    chain.back_up(source="disk")
                chain.back_up(source="auto")
        with chain.restored(0) as clone:
            assert clone.digests() == server.digests()


def test_an_older_copy_of_itself_in_its_place_is_refused_too():
    """Of the same system identifier: a snapshot that is mounted where the server says it lies."""
    with a_checked_server() as server:
        fill(server)
        copy = server.home / "copy"
        shutil.copytree(server.data_directory, copy, symlinks=True)
        server.sql("insert into t values (0)", "checkpoint")
        with pytest.raises(SourceRefused, match="not those of the server"):
            back_up(server.parsed(), read=partial(disk_backup, directory=copy))
