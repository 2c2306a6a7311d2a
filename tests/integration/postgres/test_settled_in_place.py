"""A server that is restored in place keeps what its owner has set, and says what it lacks."""

from pathlib import Path

import pytest

from strongroom.postgres.restore.beneath import Root
from strongroom.postgres.restore.restored_settings import read_settings, settle_in_place

OWNERS = """archive_mode = {mode}
archive_command = 'wal-push %p'
shared_preload_libraries = 'pg_stat_statements'
synchronous_standby_names = '{standbys}'
"""


def settled(place: Path, *, new_timeline: bool, mode: str = "on", standbys: str = ""):
    """(settings that hold, steps that are told)"""
    conf = OWNERS.format(mode=mode, standbys=standbys)
    (place / "postgresql.conf").write_text(conf)
    for name in ("pg_hba.conf", "pg_ident.conf"):
        (place / name).write_text("")
    root = Root(place)
    try:
        steps = settle_in_place(root, 15, {"port": "6000"}, 0o600, new_timeline=new_timeline)
    finally:
        root.close()
    auto = (place / "postgresql.auto.conf").read_text()
    return read_settings(conf) | read_settings(auto), steps


def test_on_a_new_timeline_it_archives_as_it_did(tmp_path: Path) -> None:
    found, (step,) = settled(tmp_path, new_timeline=True)
    assert (found["archive_mode"], found["archive_command"]) == ("on", "wal-push %p")
    assert found["shared_preload_libraries"] == "pg_stat_statements"
    assert found["port"] == "6000"
    assert step.startswith("It archives as it did")


def test_what_it_is_given_does_not_go_into_its_archive_again(tmp_path: Path) -> None:
    found, steps = settled(tmp_path, new_timeline=True, mode="always")
    assert found["archive_mode"] == "on"
    assert "archive_mode = 'on'" in steps[-1]


def test_where_its_log_goes_on_under_the_same_names_archiving_waits_for_its_owner(
    tmp_path: Path,
) -> None:
    found, (step,) = settled(tmp_path, new_timeline=False)
    assert (found["archive_mode"], found["archive_command"]) == ("off", "wal-push %p")
    assert "archive_mode = 'off'" in step
    assert str(tmp_path / "postgresql.auto.conf") in step


@pytest.mark.parametrize("new_timeline", [True, False])
def test_it_waits_for_no_standby_that_went_another_way(tmp_path: Path, new_timeline: bool) -> None:
    found, steps = settled(tmp_path, new_timeline=new_timeline, mode="off", standbys="a, b")
    assert found["synchronous_standby_names"] == ""
    assert [step for step in steps if "synchronous_standby_names" in step] == steps
