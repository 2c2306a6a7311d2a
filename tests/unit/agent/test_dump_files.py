"""What is left somewhere is what was written, and known again."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strongroom.agent.files.as_files import write_guide_of_database
from strongroom.agent.files.dump_files import DumpFiles, DumpManifest
from strongroom.agent.files.parts_upload import PartsUpload
from strongroom.agent.files.targets import Sink
from strongroom.model.errors import ObjectExists, ObjectMissing, TargetError
from strongroom.model.work.operation import RestoreResult


class Shelf:
    """A target in memory. `damage` changes what a name keeps; `late` is taken meanwhile."""

    directory: Path | None = None
    place = "a shelf"

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.damage = ""
        self.late = ""

    def claim(self) -> None: ...

    def settle(self) -> None: ...

    def holds(self, name: str) -> bool:
        return name in self.kept

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        data = bytearray()
        yield data.extend
        if name == self.late:
            self.kept[name] = b"of an attempt that was given up\n"
        if name in self.kept:
            raise ObjectExists(name)
        self.kept[name] = bytes(data[:-1] + b"?" if name == self.damage else data)

    def read(self, name: str) -> Iterator[bytes]:
        if name not in self.kept:
            raise ObjectMissing(name)
        yield from (self.kept[name][:3], self.kept[name][3:])


def files(shelf: Shelf, job: str = "job", prefix: str = "p") -> DumpFiles:
    told = DumpManifest(job=job, recovery_point="1" * 32, taken_at="", source_version=150004)
    return DumpFiles(shelf, told, prefix)


def test_a_name_that_begins_with_a_dash_is_no_option_in_the_guide():
    shelf = Shelf()
    write_guide_of_database(files(shelf, prefix=""), "-odd.dump", "C", "-new")
    lines = shelf.kept["RESTORE.md"].decode().splitlines()
    assert "createdb -T template0 -- -new" in lines
    assert any(line.endswith(" -d -new ./-odd.dump") for line in lines)


def test_a_file_that_is_another_one_when_it_is_read_again_fails_the_restore():
    shelf = Shelf()
    shelf.damage = "p_a.sql"
    with pytest.raises(TargetError) as told:
        files(shelf).write("a.sql", "text", "a")
    assert "p_a.sql is not what was written to a shelf" in told.value.message


def test_what_another_attempt_finished_meanwhile_is_taken_as_it_lies_there():
    shelf = Shelf()
    shelf.late = "p_a.sql"
    written = files(shelf)
    written.write("a.sql", "text", "a")
    (file,) = written.manifest.files
    assert file.sha256 == hashlib.sha256(shelf.kept["p_a.sql"]).hexdigest()


def test_only_the_job_that_finished_is_told_so():
    shelf = Shelf()
    first = files(shelf)
    assert first.finished() is None
    first.write("a.sql", "text", "a")
    result = first.finish(
        RestoreResult(directory="a shelf", files=0, written_bytes=0, fetched_bytes=7)
    )
    assert (result.files, result.written_bytes) == (1, 4)
    assert files(shelf).finished() == result
    assert files(shelf, "another").finished() is None


def test_a_stream_is_sent_in_parts_that_grow_and_none_is_kept():
    sent: list[int] = []
    upload = PartsUpload(lambda number, part: sent.append(len(part)))
    upload.write(b"x" * (20 << 20))
    assert sent == [8 << 20] * 2
    assert len(upload.last()) == 4 << 20
    upload.sent = 3000
    upload.write(b"x" * (60 << 20))
    assert sent[2:] == [64 << 20]
    upload.end()
    upload.end()
    assert sent[2:] == [64 << 20]
