"""What a host says of a server holds at once, for a stream that lasts for months too."""

from pathlib import Path

import pytest

from strongroom.agent.own_settings import OwnSettings, OwnSettingsFile
from strongroom.agent.servers import ServerBook
from strongroom.agent.wal.host_files import FilesChangedError, HostFiles
from strongroom.model.errors import NotFound, TargetRefused
from strongroom.model.wal import StreamOrder
from strongroom.model.work.operation import Lease

ORDER = StreamOrder(
    instance_id="1" * 32, server="orders", data_public_key=b"", data_key_id=b"", seal_seconds=10
)
LEASE = Lease(operation_id="s1", epoch=1, stream=ORDER)


@pytest.fixture
def book(tmp_path: Path) -> ServerBook:
    found = ServerBook(tmp_path / "servers.json")
    found.add("orders", "host=db1 user=backup")
    return found


@pytest.fixture
def own(tmp_path: Path) -> OwnSettingsFile:
    return OwnSettingsFile(tmp_path / "settings.json")


def files_of(book: ServerBook, own: OwnSettingsFile) -> HostFiles:
    return HostFiles(LEASE, "orders", book, own)


def test_another_conninfo_or_spool_begins_anew_and_is_taken_up_then(book, own, tmp_path):
    for given in ({}, {"archive": str(tmp_path / "spool")}):
        files = files_of(book, own)
        files.check()
        book.add("orders", "host=db2 user=backup", replace=True, **given)
        for _ in range(2):
            with pytest.raises(FilesChangedError):
                files.check()
    files = files_of(book, own)
    assert files.conninfo.get("host") == "db2"
    assert files.spool == tmp_path / "spool"


def test_what_is_said_again_or_of_another_server_disturbs_nothing(book, own):
    files = files_of(book, own)
    book.add("orders", "host=db1 user=backup", replace=True)
    book.add("shop", "host=db1 user=backup")
    own.change(lambda known: known)
    files.check()


def test_a_server_that_is_removed_is_not_found(book, own):
    files = files_of(book, own)
    book.remove("orders")
    with pytest.raises(NotFound):
        files.check()
    assert files.is_removed


def test_a_host_that_refuses_streams_from_now_on_refuses_one_that_runs(book, own):
    files = files_of(book, own)
    own.change(lambda known: OwnSettings(bandwidth=known.bandwidth, refuse=["stream"]))
    with pytest.raises(FilesChangedError):
        files.check()
    with pytest.raises(TargetRefused, match="stream"):
        files_of(book, own)
