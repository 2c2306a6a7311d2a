"""From messages to events: every file whole, summed and compared; no socket needed."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_manifests import pg_manifest_of
from strongroom.model.errors import Corrupt, SourceUnsupported, VaultError
from strongroom.postgres.backup.basebackup import BackupReader, is_main_fork
from strongroom.postgres.server.events import FileBegun, FileData, FileEnded, ManifestData
from strongroom.postgres.wire.messages import ManifestBegins, NewArchive

FILES = {"PG_VERSION": b"17\n", "./base/5/1259": b"\1" * 8192, "empty": b""}
TABLES = {"PG_17_202406281/5/16390": b"\2" * 8192}
TOLD = {
    "PG_VERSION": b"17\n",
    "base/5/1259": b"\1" * 8192,
    "empty": b"",
    "pg_tblspc/16384/PG_17_202406281/5/16390": b"\2" * 8192,
}


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def run(files=FILES, tables=TABLES, manifest=None, step=1000):
    reader = BackupReader({"": 0, "/mnt/fast": 16384})
    raw = manifest if manifest is not None else pg_manifest_of(TOLD)

    def messages():
        for archive, content in (
            (NewArchive("base.tar", ""), tar_of(files)),
            (NewArchive("16384.tar", "/mnt/fast"), tar_of(tables)),
        ):
            yield archive
            for i in range(0, len(content), step):
                yield memoryview(content)[i : i + step]
        yield ManifestBegins()
        yield memoryview(raw)

    events = list(reader.events(messages()))
    reader.compare()
    return events


def contents_of(events) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    path = ""
    for event in events:
        match event:
            case FileBegun():
                path = event.path
                found[path] = b""
            case FileData(data):
                found[path] += data
    return found


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20000))
def test_every_file_comes_out_whole_whatever_the_pieces(step):
    events = run(step=step)
    assert contents_of(events) == TOLD
    assert sum(isinstance(event, FileEnded) for event in events) == len(TOLD)
    assert b"".join(e.data for e in events if isinstance(e, ManifestData)) == pg_manifest_of(TOLD)


def test_a_changed_byte_names_its_file():
    with pytest.raises(Corrupt) as caught:
        run(files={**FILES, "./base/5/1259": b"\1" * 8191 + b"\3"})
    assert caught.value.facts == {"path": "base/5/1259"}


def test_a_missing_file_is_named():
    with pytest.raises(Corrupt, match="empty"):
        run(files={k: v for k, v in FILES.items() if k != "empty"})


def test_a_file_that_the_server_did_not_list_is_named():
    with pytest.raises(Corrupt, match="planted"):
        run(files={**FILES, "planted": b"x"})


def test_a_file_twice_is_corrupt():
    with pytest.raises(Corrupt, match="twice"):
        run(files={**FILES, "base/5/1259": b"\1" * 8192})


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "base/../../x", "a//b", "a/./b"])
def test_a_name_outside_is_corrupt(name):
    with pytest.raises(Corrupt, match="outside"):
        run(files={**FILES, name: b"x"})


def test_a_tablespace_that_was_not_listed_is_corrupt():
    reader = BackupReader({"": 0})
    with pytest.raises(Corrupt, match="did not list"):
        list(reader.events(iter([NewArchive("1.tar", "/elsewhere")])))


def test_a_stream_that_stops_inside_a_file_is_corrupt():
    reader = BackupReader({"": 0})
    cut = memoryview(tar_of(FILES))[:3000]
    with pytest.raises(Corrupt, match="inside a file"):
        list(reader.events(iter([NewArchive("base.tar", ""), cut])))


def test_a_manifest_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("strongroom.postgres.backup.basebackup.MOST_MANIFEST_BYTES", 10)
    with pytest.raises(SourceUnsupported):
        run()


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_changed_byte_of_the_stream_is_typed(data):
    raw = bytearray(tar_of(FILES))
    raw[data.draw(st.integers(0, 3 * 512 + 8192))] ^= data.draw(st.integers(1, 255))
    reader = BackupReader({"": 0})
    messages = [
        NewArchive("base.tar", ""),
        memoryview(bytes(raw)),
        ManifestBegins(),
        memoryview(pg_manifest_of({k: v for k, v in TOLD.items() if "tbl" not in k})),
    ]
    try:
        events = list(reader.events(iter(messages)))
        reader.compare()
    except VaultError:
        return
    assert contents_of(events) == {k: v for k, v in TOLD.items() if "tbl" not in k}


@pytest.mark.parametrize(
    ("path", "main"),
    [
        ("base/5/1259", True),
        ("base/5/1259.1", True),
        ("global/1262", True),
        ("pg_tblspc/16384/PG_17_202406281/5/16390", True),
        ("base/5/1259_fsm", False),
        ("base/5/1259_init", False),
        ("base/5/1259.x", False),
        ("base/5/1259.", False),
        ("base/5/t3_16400", False),
        ("base/5/PG_VERSION", False),
        ("global/pg_control", False),
        ("pg_xact/0000", False),
        ("base/5/²", False),
    ],
)
def test_main_forks_are_told_from_all_else(path, main):
    assert is_main_fork(path) is main
