"""Whatever PostgreSQL's restore_command meets, a server never promotes short of its moment."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psycopg
import pytest

from integration.copies import Copy, back_up
from integration.servers import Server, children, open_directory, own, some, start_server
from journey.world import until
from ports import free_port
from strongroom.model.errors import TargetError
from strongroom.model.postgres import lsn_from_text
from strongroom.model.wal import Recovery
from strongroom.postgres.restore.wal_recovery import LogPlace, await_recovered, segments_of
from strongroom.postgres.server import scratch

pytestmark = pytest.mark.postgres
SIZE = 16 << 20


@dataclass
class Story:
    """A backup, and the log of what was committed since, a third of it in each segment."""

    server: Server
    copy: Copy
    recovery: Recovery
    log: dict[str, bytes]

    def lay(self, directory: Path, *lacking: str) -> LogPlace:
        self.copy.restore(directory)
        place = LogPlace(directory)
        place.lay(self.recovery)
        for name, content in self.log.items():
            if name not in lacking:
                place.put(name, content)
        return place

    def recover(self, directory: Path) -> None:
        scratch.start(self.server.tools, directory, port=free_port(), timeout=60)
        await_recovered(directory, time.sleep)


@pytest.fixture(scope="module", params=some(15))
def story(request: pytest.FixtureRequest) -> Iterator[Story]:
    with start_server(request.param, wal_keep_size="1GB") as server:
        server.sql("create table t (n int)")
        copy = back_up(server.parsed())
        for number in range(3):
            server.sql("insert into t select generate_series(1, 1000)")
            server.sql(f"select pg_create_restore_point('{number}')", "select pg_switch_wal()")
        end = lsn_from_text(server.sql("select pg_current_wal_lsn()::text")[0][0])
        first = copy.ended.stop_lsn - copy.ended.stop_lsn % SIZE
        stretch = (1, first, end - end % SIZE)
        recovery = Recovery(
            kind="name", value="2", system="", timeline=1, segment_size=SIZE, timelines=[stretch]
        )
        pg_wal = server.data_directory / "pg_wal"
        log = {name: (pg_wal / name).read_bytes() for name in segments_of(recovery)}
        yield Story(server, copy, recovery, log)


@pytest.fixture
def directory(story: Story) -> Iterator[Path]:
    with open_directory() as home:
        yield home / "data"
        if scratch.is_running(story.server.tools, home / "data"):
            scratch.stop(story.server.tools, home / "data", "immediate")


def is_promoted(directory: Path) -> bool:
    return any((directory / "pg_wal").glob("00000002*"))


def test_with_all_of_its_log_it_ends_at_the_moment_on_the_timeline_that_was_promised(
    story: Story, directory: Path
) -> None:
    place = story.lay(directory)
    place.lay(msgspec.structs.replace(story.recovery, begins=0xB))
    for name, content in story.log.items():
        place.put(name, content)
    place.end("complete")
    story.recover(directory)
    with psycopg.connect(scratch.running(directory).conninfo) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (3000,)
        asked = "select pg_walfile_name(pg_current_wal_lsn())"
        assert str(connection.execute(asked).fetchone()).startswith("('0000000B")
    assert [each.name for each in (directory / "pg_wal").glob("*.history")] == ["0000000B.history"]


def test_it_is_not_its_owners_recovery_nor_his_archives_until_it_has_ended(
    story: Story, directory: Path
) -> None:
    archive = own(directory.parent) / "archive"
    archive.mkdir()
    own(archive)
    story.copy.restore(directory)
    command = f"cp %p {archive}/%f"
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(f"archive_mode = on\narchive_command = '{command}'\n")
        file.write("recovery_target_time = '2020-01-01'\nrecovery_target_action = shutdown\n")
        file.write("recovery_target_lsn = '0/1'\nrecovery_min_apply_delay = 1d\n")
    place = LogPlace(directory, lasting=False)
    place.lay(story.recovery)
    for name, content in story.log.items():
        place.put(name, content)
    place.end("complete")
    story.recover(directory)
    with psycopg.connect(scratch.running(directory).conninfo, autocommit=True) as connection:

        def told() -> bool:
            return connection.execute("show archive_command").fetchone() == (command,)

        until("its owner's settings", told)
        connection.execute("select pg_switch_wal()")
    until("the new timeline", lambda: list(archive.glob("00000002????????????????")))
    names = {each.name for each in archive.iterdir()}
    assert not {name for name in names if len(name) == 24 and not name.startswith("00000002")}
    assert "00000002.history" in names


@pytest.mark.parametrize(("lacks", "word"), [(1, "complete"), (-1, "failed")])
def test_a_hole_and_an_outage_end_it(lacks: int, word: str, story: Story, directory: Path) -> None:
    story.lay(directory, list(story.log)[lacks]).end(word)
    with pytest.raises(TargetError):
        story.recover(directory)
    assert not is_promoted(directory)


def test_log_that_ends_before_the_moment_ends_it(story: Story, directory: Path) -> None:
    *names, last = story.log
    place = story.lay(directory, last)
    (place.directory / "list").write_text("".join(f"{name}\n" for name in names))
    place.end("complete")
    with pytest.raises(TargetError):
        story.recover(directory)
    assert not is_promoted(directory)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_that_is_killed_ends_it(
    how: signal.Signals, story: Story, directory: Path
) -> None:
    story.lay(directory, list(story.log)[-1])
    scratch.start(story.server.tools, directory, port=free_port(), timeout=60)
    postmaster = scratch.running(directory).pid

    def waiting() -> list[int]:
        return [
            below
            for startup in children(postmaster)
            for shell in children(startup)
            for below in (children(shell) or [shell])
            if "strongroom_wal/get" in Path(f"/proc/{below}/cmdline").read_text()
        ]

    (command,) = until("the command to wait", waiting)
    os.kill(command, how)
    with pytest.raises(TargetError):
        await_recovered(directory, time.sleep)
    assert not is_promoted(directory)
