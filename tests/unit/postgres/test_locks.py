"""A scratch server has as many locks as a dump of what is there can take."""

import struct
from pathlib import Path

import pytest

from strongroom.postgres.part.recovered import _room


def files(directory: Path, count: int) -> None:
    directory.mkdir(parents=True)
    for number in range(count):
        (directory / str(number)).touch()


def locks(directory: Path) -> int:
    """Of all its connections and prepared transactions."""
    room = _room(directory, for_a_table=False)
    return int(room["max_locks_per_transaction"]) * (20 + int(room["max_prepared_transactions"]))


def control(directory: Path, version: int, prepared: int) -> None:
    (directory / "global").mkdir(parents=True)
    head = struct.pack("=QI", 7, version)
    (directory / "global" / "pg_control").write_bytes(
        head.ljust(192, b"\x7f") + struct.pack("=I", prepared) + bytes(8000)
    )


def test_there_are_more_locks_than_files_wherever_they_lie(tmp_path: Path) -> None:
    data, space = tmp_path / "data", tmp_path / "space"
    files(data / "base" / "5", 2500)
    assert 0 <= locks(data) - (65_000 + 5_000) < 1020
    files(space / "PG_15_202209061" / "5", 1500)
    (data / "pg_tblspc").mkdir()
    (data / "pg_tblspc" / "16400").symlink_to(space)
    assert 0 <= locks(data) - (65_000 + 8_000) < 1020
    assert 0 <= locks(tmp_path / "nothing") - 65_000 < 1020


def test_for_a_table_there_are_few_where_the_source_prepares_none(
    tmp_path: Path,
) -> None:
    control(tmp_path, 1800, prepared=0)
    files(tmp_path / "base" / "5", 200)
    assert _room(tmp_path, for_a_table=True) == {
        "max_prepared_transactions": "0",
        "max_locks_per_transaction": "270",
    }


@pytest.mark.parametrize(("version", "prepared"), [(1800, 1), (1300, 64), (1900, 0)])
def test_a_source_that_may_prepare_some_gets_room_for_all(
    tmp_path: Path, version: int, prepared: int
) -> None:
    control(tmp_path, version, prepared)
    assert _room(tmp_path, for_a_table=True) == _room(tmp_path, for_a_table=False)
