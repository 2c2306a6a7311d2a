"""archive_command: success when the vault has it, and for nothing else but a disk that fills."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seams import SystemClock
from small_disk import small_disk
from strongroom.agent.wal.put import wal_put
from strongroom.agent.wal.spool import Spool, digest_of
from strongroom.model.errors import SpoolFailed

NAME = "000000010000000000000005"
CONTENT = b"log" * 1000
SYSTEM = 7_000_000_000_000_000_001


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """In a data directory."""
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    (data / "global" / "pg_control").write_bytes(SYSTEM.to_bytes(8, "little"))
    (data / "pg_wal" / "archive_status").mkdir(parents=True)
    place = data / "pg_wal" / NAME
    place.write_bytes(CONTENT)
    return place


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    root = tmp_path / "spool"
    root.mkdir(mode=0o770)
    found = Spool(root, str(SYSTEM))
    found.make()
    return found


def put(segment: Path, spool: Spool, name: str = NAME) -> int:
    return wal_put(segment, name, spool.directory.parent, SystemClock(), 0.2)


def test_it_fails_until_the_vault_has_it_and_succeeds_from_then_on(
    segment: Path, spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert put(segment, spool) == 1
    assert "not taken it yet" in capsys.readouterr().err
    assert spool.waiting() == [NAME]
    assert spool.read(NAME) == CONTENT
    spool.keep(NAME, digest_of(CONTENT))
    assert spool.waiting() == []
    assert [put(segment, spool), put(segment, spool)] == [0, 0]


@pytest.mark.parametrize("when", ["waits", "is kept"])
def test_other_bytes_under_a_name_are_refused(
    when: str, segment: Path, spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.put(NAME, b"other")
    if when == "is kept":
        spool.keep(NAME, digest_of(b"other"))
    assert put(segment, spool) == 1
    assert f"another {NAME}" in capsys.readouterr().err


def test_what_the_agent_refuses_is_told_to_postgresql_and_may_be_tried_again(
    segment: Path, spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.refuse(NAME, "it is another server's")
    assert put(segment, spool) == 1
    assert "it is another server's" in capsys.readouterr().err
    assert spool.waiting() == [NAME]


def test_a_server_that_holds_too_much_for_a_vault_that_is_away_is_let_go(
    segment: Path, spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.set_limit(3 * len(CONTENT))
    for number in range(4):
        assert put(segment, spool) == 1
        ready = f"{NAME[:-1]}{number}.ready"
        (segment.parent / "archive_status" / ready).touch()
    assert put(segment, spool) == 0
    assert "let go" in capsys.readouterr().err


def test_whatever_else_goes_wrong_is_a_failure_that_postgresql_counts(
    segment: Path, spool: Spool, tmp_path: Path
) -> None:
    assert put(segment, spool, "0000000100000000000000AZ") == 1
    assert put(segment.parent / "gone", spool) == 1
    assert put(segment, spool, f"{NAME}.00000028.backup") == 0
    open_to_all = own_root(tmp_path, 0o777)
    assert wal_put(segment, NAME, open_to_all, SystemClock(), 0.2) == 1
    assert wal_put(segment, NAME, tmp_path / "none", SystemClock(), 0.2) == 1


def as_user(uid: int, gid: int, work: Callable[[], bool]) -> None:
    """In a process of that user, of no other group and with PostgreSQL's umask: it is true.

    Who is not root stays who it is.
    """
    child = os.fork()
    if child == 0:
        done = False
        with contextlib.suppress(BaseException):
            os.umask(0o077)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(gid)
                os.setuid(uid)
            done = work()
        os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_spool_is_open_to_postgresql_and_to_an_agent_of_another_group_whoever_comes_first() -> (
    None
):
    postgres, agent = (70_001, 70_002), (70_003, 70_004)
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        root = Path(home) / "spool"  # install -d -o postgres -g AGENT -m 2770
        root.mkdir()
        if os.geteuid() == 0:
            os.chown(root, postgres[0], agent[1])
        root.chmod(0o2770)

        def hand_over() -> bool:
            spool = Spool(root, str(SYSTEM))
            spool.make()
            spool.put(NAME, CONTENT)
            return spool.limit(7) == 7

        def keep() -> bool:
            spool = Spool(root, str(SYSTEM))
            read = spool.read(NAME)
            spool.keep(NAME, digest_of(read))
            return read == CONTENT and spool.set_limit(5)

        def hear() -> bool:
            spool = Spool(root, str(SYSTEM))
            return (spool.kept(NAME), spool.limit(7)) == (digest_of(CONTENT), 5)

        def is_closed() -> bool:
            with pytest.raises(SpoolFailed, match="is closed to this user") as failed:
                Spool(root, "8").make()
            return "chown -R postgres:AGENT" in failed.value.hint

        as_user(*agent, lambda: Spool(root, str(SYSTEM)).waiting() == [])
        as_user(*agent, lambda: not Spool(root, str(SYSTEM)).set_limit(5))
        as_user(*postgres, hand_over)
        as_user(*agent, keep)
        as_user(*postgres, hear)
        root.chmod(0o2555)
        as_user(70_005, 70_006, is_closed)


def test_a_full_disk_is_told_and_no_try_leaves_anything_behind(
    segment: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, waits = tmp_path / "small", "000000010000000000000004"
    root.mkdir()
    with small_disk(root, 1 << 20, monkeypatch) as disk:
        spool = Spool(root, str(SYSTEM))
        spool.make()
        spool.put(waits, bytes(600 << 10))
        segment.write_bytes(bytes(600 << 10))
        disk.fill()
        for _ in range(2):
            assert wal_put(segment, NAME, root, SystemClock(), 0.2) == 1
            assert f"the disk of the spool is full: {spool.directory}" in capsys.readouterr().err
        assert [each.name for each in spool.directory.iterdir()] == [waits]
        if not disk.mounted:
            disk.free()
        spool.keep(waits, "digest")  # its own bytes make the room
        assert (spool.waiting(), spool.kept(waits)) == ([], "digest")


def test_what_a_killed_writer_has_left_goes_with_time(spool: Spool) -> None:
    left, now = spool.directory / f".{NAME}.77", time.time()
    left.write_bytes(CONTENT)
    spool.clear(now)
    assert left.exists()
    spool.clear(now + 7200)
    assert not left.exists()


def own_root(tmp_path: Path, mode: int) -> Path:
    root = tmp_path / f"{mode:o}"
    root.mkdir()
    root.chmod(mode)
    return root


def test_the_command_ends_with_1_by_bad_usage_and_by_a_signal(segment: Path, spool: Spool) -> None:
    command = [sys.executable, "-m", "strongroom", "wal-put", f"pg_wal/{NAME}", NAME, "--spool"]
    data = segment.parent.parent
    assert 0 < subprocess.run(command, cwd=data, capture_output=True, check=False).returncode < 126
    place = str(spool.directory.parent)
    with subprocess.Popen([*command, place], cwd=data, stderr=subprocess.PIPE) as waiting:
        while not spool.waiting():
            os.sched_yield()
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(60) == 1
