"""A restore in place that dies at any step leaves what cannot start, or what is whole."""

import os
from pathlib import Path

import pytest

from integration.servers import open_directory
from pg_manifests import pg_manifest_of
from strongroom.model.errors import Conflict, Precondition, TargetNotEmpty, TargetRefused
from strongroom.postgres.pages.page_compare import ToldFile
from strongroom.postgres.restore.in_place import InPlaceTarget
from strongroom.postgres.restore.restore import MARKER, RestoredFile

PAGE = 8192
SEGMENT = "pg_wal/000000010000000000000020"  # of 1 MiB
SYSTEM = 7_000_000_000_000_000_001


def control(redo: int, system: int = SYSTEM) -> bytes:
    """As much of pg_control as is read."""
    head = system.to_bytes(8, "little") + bytes(32) + redo.to_bytes(8, "little")
    return (head + (1).to_bytes(4, "little")).ljust(PAGE, b"\0")


POINT = {
    "PG_VERSION": b"15\n",
    "backup_label": b"START WAL LOCATION",
    "base/5/1259": b"\1" * PAGE * 3,
    "base/5/2000": b"\2" * PAGE,
    "global/pg_control": control(100),
    "postgresql.auto.conf": b"",
    "postgresql.conf": b"",
    "pg_hba.conf": b"",
    "pg_ident.conf": b"",
    SEGMENT: b"\3" * (1 << 20),
}
NOW = {
    **POINT,
    "base/5/1259": b"\1" * PAGE + b"\7" * PAGE * 4,
    "base/5/3000": b"\4" * PAGE,
    "base/9/1259": b"\5" * PAGE,
    "global/pg_control": control(200),
    "pg_replslot/old/state": b"old",
    "notes.txt": b"mine",
    "log/today": b"mine too",
}
del NOW["base/5/2000"], NOW["backup_label"]
MANIFEST = pg_manifest_of(
    {path: data for path, data in POINT.items() if path != SEGMENT},
    [(1, "0/2000028", "0/2000100")],
)


@pytest.fixture
def place():
    with open_directory() as directory:
        yield directory


def lay(directory: Path, tree: dict[str, bytes]) -> Path:
    for path, data in tree.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def files_of(tree: dict[str, bytes]) -> list[RestoredFile]:
    kinds = {SEGMENT: "wal"}
    return [RestoredFile(p, len(d), 0o600, 0, kinds.get(p, "other")) for p, d in tree.items()]


def told(data: bytes) -> ToldFile:
    """As an agent holds digests against what lies there."""

    def differing(offset: int, there: memoryview) -> bytearray:
        return bytearray(
            there[at : at + PAGE] != data[offset + at : offset + at + PAGE]
            for at in range(0, len(there), PAGE)
        )

    return ToldFile(len(data), differing)


def restore(directory: Path, job: str = "job-1", step=lambda: None) -> int:
    """-> bytes written. `step` is called before each step that changes something."""
    target = InPlaceTarget(directory, {}, job)
    try:
        target.survey(files_of(POINT), SYSTEM)
        wanted = []
        for index, data in enumerate(POINT.values()):
            found = target.compare(index, told(data), lambda _: None)
            wanted += [(index, data, start, end) for start, end in found]
        target.check_unchanged()
        step()
        target.begin()
        for index, data, start, end in wanted:
            step()
            target.write(index, start, data[start:end])
        step()
        finished = target.finish(MANIFEST, {})
        step()
    finally:
        target.close()
    target.drop_marker()
    return finished.written_bytes


def tree_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "postgresql.auto.conf"
    }


WHOLE = {path: data for path, data in POINT.items() if path != "postgresql.auto.conf"} | {
    "notes.txt": b"mine",
    "log/today": b"mine too",
}


def test_what_differs_is_written_and_what_is_others_stays(place):
    data = lay(place / "data", NOW)
    kept = (data / "base/5/1259").stat().st_ino
    written = restore(data)
    assert tree_of(data) == WHOLE
    assert (data / "base/5/1259").stat().st_ino == kept
    assert written == 3 * PAGE + PAGE + len(POINT["backup_label"])


def dies_at(directory: Path, number: int) -> bool:
    """In a process of its own, killed before step `number`; whether there was such a step."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = number

    def step() -> None:
        nonlocal left
        if left == 0:
            os._exit(9)
        left -= 1

    restore(directory, step=step)
    os._exit(0)


def test_killed_at_any_step_it_does_not_start_until_the_next_restore_finishes_it(place):
    number, died = 0, True
    while died:
        data = lay(place / f"data-{number}", NOW)
        died = dies_at(data, number)
        begun = (data / MARKER).exists()
        assert begun == (died and number > 0)
        assert (data / "global/pg_control").exists() != begun, "no server starts without it"
        restore(data, "job-2")
        assert tree_of(data) == WHOLE
        number += 1
    assert number > 6


def test_another_systems_directory_is_left_alone(place):
    other = {**NOW, "global/pg_control": control(200, SYSTEM + 1)}
    data = lay(place / "data", other)
    with pytest.raises(TargetRefused, match="belongs to another server"):
        restore(data)
    assert tree_of(data) | {"postgresql.auto.conf": b""} == other


def test_a_directory_that_is_none_of_a_server_is_refused(place):
    with pytest.raises(TargetRefused, match="no data directory"):
        restore(lay(place / "data", {"notes.txt": b"mine"}))


def test_a_live_process_in_postmaster_pid_is_a_server_that_runs(place):
    data = lay(place / "data", {**NOW, "postmaster.pid": f"{os.getpid()}\n".encode()})
    with pytest.raises(Precondition, match="a server runs"):
        restore(data)
    (data / "postmaster.pid").write_text("999999999\n")
    restore(data)
    assert tree_of(data) == WHOLE


def test_a_server_that_was_started_and_stopped_while_it_was_compared_is_noticed(place):
    data = lay(place / "data", NOW)

    def start_and_stop() -> None:
        (data / "global/pg_control").write_bytes(control(300))

    target = InPlaceTarget(data, {}, "job-1")
    target.survey(files_of(POINT), SYSTEM)
    start_and_stop()
    with pytest.raises(Conflict, match="has changed while it was compared"):
        target.check_unchanged()
    target.close()
    assert not (data / MARKER).exists()


def test_two_restores_of_one_directory_do_not_meet(place):
    data = lay(place / "data", NOW)
    first = InPlaceTarget(data, {}, "job-1")
    first.survey(files_of(POINT), SYSTEM)
    with pytest.raises(Conflict, match="another restore writes"):
        restore(data, "job-2")
    first.close()
    restore(data, "job-2")


def test_a_new_directory_that_was_never_finished_is_not_taken_for_a_server(place):
    data = lay(place / "data", {**NOW, MARKER: b'{"job": "job-1", "roots": []}'})
    with pytest.raises(TargetNotEmpty, match="a restore into a new directory"):
        restore(data)


def test_a_tablespace_that_came_later_is_left_where_it_is_and_told(place):
    data = lay(place / "data", NOW)
    lay(place / "space", {"PG_15_202209061/5/1": b"later"})
    (data / "pg_tblspc").mkdir()
    (data / "pg_tblspc/16500").symlink_to(place / "space")
    target = InPlaceTarget(data, {}, "job-1")
    target.survey(files_of(POINT), SYSTEM)
    assert str(place / "space") in target.left[0]
    target.close()
    restore(data)
    assert not (data / "pg_tblspc/16500").is_symlink()
    assert (place / "space/PG_15_202209061/5/1").read_bytes() == b"later"


def test_a_log_that_lies_elsewhere_is_not_followed(place):
    data = lay(place / "data", NOW)
    (data / "pg_wal").rename(place / "wal")
    (data / "pg_wal").symlink_to(place / "wal")
    with pytest.raises(TargetRefused, match="is a link"):
        restore(data)
    assert (place / "wal" / SEGMENT.rpartition("/")[2]).exists()
