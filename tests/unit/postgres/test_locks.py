"""A scratch server has as many locks as a dump of what is there can take."""

from pathlib import Path

from strongroom.postgres.part.extract import _locks


def files(directory: Path, count: int) -> None:
    directory.mkdir(parents=True)
    for number in range(count):
        (directory / str(number)).touch()


def test_there_are_more_locks_than_files_wherever_they_lie(tmp_path: Path) -> None:
    data, space = tmp_path / "data", tmp_path / "space"
    files(data / "base" / "5", 2500)
    assert _locks(data) == 64 + 5
    files(space / "PG_15_202209061" / "5", 1500)
    (data / "pg_tblspc").mkdir()
    (data / "pg_tblspc" / "16400").symlink_to(space)
    assert _locks(data) == 64 + 8
    assert _locks(tmp_path / "nothing") == 64
