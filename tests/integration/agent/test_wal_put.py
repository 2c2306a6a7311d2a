"""archive_command: success when the vault has it, and for nothing else but a disk that fills."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seams import SystemClock
from strongroom.agent.wal.put import wal_put
from strongroom.agent.wal.spool import Spool, digest_of

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
    return Spool(root, str(SYSTEM))


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
