"""Commands of the agent's host before and after a backup."""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from backup_orders import a_backup_order
from seams import SeededChance, SystemClock
from strongroom.agent.backup.hooks import with_hooks
from strongroom.agent.commands import own_settings, set_bandwidth, set_hooks
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.own_settings import Hooks
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Settings
from strongroom.datastore.packs.seal import KeyPair
from strongroom.model.errors import Cancelled, Invalid, NotFound, Precondition, SourceStopped
from strongroom.model.work.operation import BackupResult, Completion, Lease

SECRET = "correct horse"


def a_lease() -> HeldLease:
    pair = KeyPair.generate(SeededChance())
    order = a_backup_order(1, "1" * 32, pair, pair)
    lease = Lease(operation_id="job-1", epoch=1, backup=order)
    return HeldLease(None, lease, SystemClock(), 5.0)  # type: ignore[arg-type] - nobody beats


def done(*warnings: dict[str, Any]) -> Completion:
    zero = dict.fromkeys(("delta_size", "raw_bytes", "stored_bytes", "files", "packs"), 0)
    facts = {"start_lsn": "0/0", "stop_lsn": "0/0", "timeline": 1, "version_number": 180000}
    result = BackupResult(
        **zero, **facts, delta_blake3=b"", system_identifier="1", warnings=list(warnings)
    )
    return Completion(epoch=1, backup=result)


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def run(
    work: Any = done, *, pre: str = "", post: str = "", seconds: float = 60, held: Any = None
) -> Completion:
    hooks = Hooks(pre=shell(pre) if pre else [], post=shell(post) if post else [], seconds=seconds)
    return with_hooks(held or a_lease(), hooks, [SECRET], work)


def test_each_is_told_what_is_backed_up_and_what_came_of_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f"env | grep ^STRONGROOM_ | sort >> {told}; echo >> {told}"
    os.environ["PGPASSWORD"] = SECRET
    try:
        run(pre=f"{script}; test -z $PGPASSWORD", post=script)
    finally:
        del os.environ["PGPASSWORD"]
    before, after, _ = told.read_text().split("\n\n")
    names = {"STRONGROOM_SERVER=orders", "STRONGROOM_JOB=job-1", "STRONGROOM_INSTANCE=" + "1" * 32}
    assert names < set(before.splitlines())
    assert {"STRONGROOM_HOOK=post", "STRONGROOM_OUTCOME=Completed", *names} < set(
        after.splitlines()
    )


def test_a_pre_hook_that_fails_fails_the_backup_before_it_reads(tmp_path: Path) -> None:
    told = tmp_path / "told"
    began = []
    with pytest.raises(Precondition, match=r"pre hook .* ended with 3") as failed:
        run(lambda: began.append(1), pre="exit 3", post=f"echo $STRONGROOM_OUTCOME > {told}")
    assert not began
    assert failed.value.hint
    assert told.read_text() == "Failed\n"


def test_a_post_hook_that_fails_is_a_warning_of_a_good_backup() -> None:
    warnings = run(post="exit 1").backup.warnings  # type: ignore[union-attr]
    assert [warning["code"] for warning in warnings] == ["HookFailed"]


def test_a_failure_stays_itself_whatever_the_post_hook_does(tmp_path: Path) -> None:
    told = tmp_path / "told"

    def stops() -> Completion:
        raise SourceStopped("the server went away")

    with pytest.raises(SourceStopped):
        run(stops, post=f"echo $STRONGROOM_OUTCOME > {told}; exit 1")
    assert told.read_text() == "Failed\n"


def running(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return [command for command in found if word in command]


def test_one_that_takes_too_long_is_ended_with_what_it_started() -> None:
    nap = f"98765.{os.getpid()}"
    with pytest.raises(Precondition, match="longer than"):
        run(pre=f"sleep {nap} & sleep {nap}", seconds=0.5)
    while running(nap):
        time.sleep(0.05)  # a signal that was sent takes its time


def test_one_that_cannot_be_run_is_named() -> None:
    with pytest.raises(Precondition, match="No such file"):
        with_hooks(a_lease(), Hooks(pre=["/no/such/program"]), [], done)


def test_a_cancelled_operation_ends_its_pre_hook_and_is_tidied_up_after(tmp_path: Path) -> None:
    held, begun, told = a_lease(), tmp_path / "begun", tmp_path / "told"
    os.mkfifo(begun)

    def cancel() -> None:
        begun.read_text()
        held.stop(Cancelled("somebody asked for it"))

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        run(pre=f"echo > {begun}; sleep 1000", post=f"echo tidy > {told}", held=held)
    thread.join()
    assert told.read_text() == "tidy\n"


def test_what_a_hook_prints_is_in_the_log_without_secrets() -> None:
    lines = f"echo freezing; echo '{SECRET}'; echo password=abc; echo pg://me:def@db1/x >&2"
    with structlog.testing.capture_logs() as logged:
        run(pre=lines)
    text = str(logged)
    assert "freezing" in text
    assert "job-1" in text
    assert not [word for word in (SECRET, "abc", "def@") if word in text]


def test_hooks_are_kept_on_the_host_for_one_server_or_for_all(tmp_path: Path) -> None:
    data = tmp_path / "agent"
    ServerBook(Settings(data=data).servers_file).add("orders", "host=db1")
    set_hooks(data, "", "/bin/freeze 'a b'", "", 5)
    set_hooks(data, "orders", "", "/bin/thaw", 7)
    set_bandwidth(data, "50MiB/s")
    kept = own_settings(data)
    assert kept.bandwidth == 50 << 20
    assert kept.hooks_of("orders") == Hooks(post=["/bin/thaw"], seconds=7)
    assert kept.hooks_of("another") == Hooks(pre=["/bin/freeze", "a b"], seconds=5)
    set_hooks(data, "orders", "", "", 7)
    assert own_settings(data).hooks_of("orders").pre == ["/bin/freeze", "a b"]
    assert Settings(data=data).own_file.stat().st_mode & 0o777 == 0o600


def test_what_makes_no_sense_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "agent"
    with pytest.raises(NotFound, match="nobody"):
        set_hooks(data, "nobody", "/bin/true", "", 5)
    for command, seconds in (
        ("freeze", 5),
        ("'/bin/true", 5),
        ("/bin/true", 0),
        ("/bin/true", 1e9),
    ):
        with pytest.raises(Invalid):
            set_hooks(data, "", command, "", seconds)
    with pytest.raises(Invalid):
        set_bandwidth(data, "fast")
    assert not Settings(data=data).own_file.exists()


def test_a_file_that_cannot_be_read_is_no_file_without_hooks(tmp_path: Path) -> None:
    path = Settings(data=tmp_path).own_file
    path.write_text('{"hook": {}}')
    path.chmod(0o600)
    with pytest.raises(Invalid, match="settings"):
        own_settings(tmp_path)
