"""Which process a data directory's postmaster.pid means."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.model.errors import TargetError
from strongroom.postgres.server.scratch import _postmaster, running

WAIT = [sys.executable, "-c", "input()"]


def pid_file(directory: Path, pid: int | str) -> None:
    lines = [str(pid), os.fspath(directory), "1700000000", "5433", "/tmp", "localhost"]
    (directory / "postmaster.pid").write_bytes(os.fsencode("\n".join(lines) + "\n"))


@pytest.mark.parametrize("at_work_there", [True, False])
def test_a_pid_that_means_another_process_by_now_is_nobody(
    tmp_path: Path, *, at_work_there: bool
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    place = data if at_work_there else tmp_path
    with subprocess.Popen(WAIT, cwd=place, stdin=subprocess.PIPE) as process:
        pid_file(data, process.pid)
        with _postmaster(data) as found:
            assert (found is not None) == at_work_there
        process.communicate(b"\n")
    with _postmaster(data) as found:
        assert found is None


@pytest.mark.parametrize("pid", ["", "-1", "no number"])
def test_what_is_no_pid_is_nobody(tmp_path: Path, pid: str) -> None:
    pid_file(tmp_path, pid)
    with _postmaster(tmp_path) as found:
        assert found is None


def test_a_directory_of_any_name_is_read(tmp_path: Path) -> None:
    data = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff"))
    data.mkdir()
    with pytest.raises(TargetError, match="no server runs"):
        running(data)
    pid_file(data, 42)
    assert (running(data).pid, running(data).port) == (42, 5433)
