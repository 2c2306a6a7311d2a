"""The reader of the log against PostgreSQL's own pg_waldump, on what a server has written."""

import re
import subprocess
from collections.abc import Iterator
from datetime import datetime

import pytest

from integration.servers import Server, some, start_server
from strongroom.datastore.packs.wal_condensed import condense, expand_into
from strongroom.model.postgres import Lsn, lsn_from_text
from strongroom.postgres.log.wal_summary import summary_of
from strongroom.postgres.wire.wal import Abort, Commit, Event, Minimal, Named, WalReader

_COMMIT = re.compile(
    r"rmgr: Transaction .*tx:\s+(\d+), lsn: (\S+), .*desc: COMMIT(?:_PREPARED \d+:)? (\S+ \S+ UTC)"
)
pytestmark = pytest.mark.postgres
SEGMENT = 16 << 20


class NoNames:
    def learn(self, keys: set[str]) -> None:
        del keys

    def name(self, key: str) -> str | None:
        return key


@pytest.fixture(scope="module", params=some(15))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with start_server(
        request.param, timezone="UTC", max_prepared_transactions=5, wal_keep_size="1GB"
    ) as found:
        found.sql("create table entries (id int primary key, note text)")
        for round_ in range(3):
            found.sql(
                f"insert into entries select {round_} * 20000 + n, repeat('x', 400) "
                "from generate_series(1, 20000) n",
                f"update entries set note = 'y' where id % 97 = {round_}",
                "select pg_switch_wal()",
            )
        found.sql("select pg_create_restore_point('before')")
        found.sql("delete from entries where id <= 1234")
        with found.connect() as other, other.transaction(force_rollback=True):
            other.execute("delete from entries")
        found.sql("begin; insert into entries values (-1, ''); prepare transaction 'later'")
        found.sql("commit prepared 'later'")
        found.sql("begin; savepoint a; delete from entries where id < 2000; release a; commit")
        found.sql("begin; delete from entries where id < 2100; prepare transaction 'long'")
        much = "select pg_logical_emit_message(true, 'much', repeat('x', 100000))"
        found.sql(f"{much} from generate_series(1, 30)")
        found.sql("commit prepared 'long'")
        found.sql(
            "create table parts (n int) partition by range (n)",
            "create table low partition of parts for values from (0) to (100)",
            "create table high partition of parts for values from (100) to (200)",
            "insert into parts select generate_series(1, 50)",
            "update parts set n = n + 100",  # each row moves, none goes
        )
        found.sql("create table gone (a int)", "insert into gone values (1)", "drop table gone")
        found.sql("select pg_switch_wal()")
        yield found


def _log(server: Server) -> tuple[Lsn, bytes]:
    names = sorted(
        path for path in (server.data_directory / "pg_wal").iterdir() if len(path.name) == 24
    )
    end = lsn_from_text(server.sql("select pg_current_wal_flush_lsn()::text")[0][0])
    start = Lsn(int(names[0].name[8:16], 16) << 32 | int(names[0].name[16:], 16) * SEGMENT)
    return start, b"".join(path.read_bytes() for path in names)[: end - start]


def _read(server: Server, chunk: int) -> list[Event]:
    start, log = _log(server)
    reader = WalReader(start, SEGMENT, server.tools.major * 10000)
    for at in range(0, len(log), chunk):
        reader.feed(log[at : at + chunk])
    assert reader.position == reader.fed == start + len(log)
    return reader.take()


def _waldump(server: Server) -> list[tuple[int, Lsn, int]]:
    start, log = _log(server)
    command = [
        str(server.tools.program("pg_waldump")),
        "-p",
        str(server.data_directory / "pg_wal"),
    ]
    command += ["-s", f"{start >> 32:X}/{start & 0xFFFFFFFF:X}"]
    command += ["-e", f"{start + len(log) >> 32:X}/{start + len(log) & 0xFFFFFFFF:X}"]
    env = {"TZ": "UTC", "PGTZ": "UTC"}
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert "COMMIT" in told.stdout, (told.stderr, told.stdout[-600:])
    found = []
    for line in told.stdout.splitlines():
        if match := _COMMIT.search(line):
            at = datetime.strptime(match[3] + "+0000", "%Y-%m-%d %H:%M:%S.%f UTC%z")
            micros = round(at.timestamp() * 1_000_000)
            found.append((int(match[1]), lsn_from_text(match[2]), micros))
    return found


@pytest.mark.parametrize("chunk", [131072, 8191])
def test_it_finds_the_commits_that_pg_waldump_finds(server: Server, chunk: int) -> None:
    commits = [event for event in _read(server, chunk) if isinstance(event, Commit)]
    wanted = _waldump(server)
    assert len(wanted) > 10, wanted
    assert [(each.start, each.at) for each in commits] == [each[1:] for each in wanted]


def test_rows_count_where_their_transaction_commits(server: Server) -> None:
    events = _read(server, 70001)
    commits = [event for event in events if isinstance(event, Commit)]
    assert [sum(each.deleted.values()) for each in commits if each.deleted] == [1234, 765 + 1, 100]
    assert [len(each.gone) for each in commits if each.gone][-1] == 1
    named = next(event for event in events if isinstance(event, Named))
    first = next(each for each in commits if each.deleted)
    assert (named.name, named.end <= first.start) == ("before", True)


def test_reading_goes_on_from_any_position_of_its_own(server: Server) -> None:
    start, log = _log(server)
    version = server.tools.major * 10000
    whole = WalReader(start, SEGMENT, version)
    whole.feed(log)
    parts, at, reader = [], start, WalReader(start, SEGMENT, version)
    while at < start + len(log):
        reader.feed(log[at - start : at - start + 999_999])
        parts += reader.take()
        at = reader.position
        reader = WalReader(at, SEGMENT, version, unended=reader.unended())
    assert parts == whole.take(), "rows that a prepared transaction has deleted, too"


def test_a_reader_that_reads_a_stretch_again_counts_no_row_twice(server: Server) -> None:
    start, log = _log(server)
    version = server.tools.major * 10000
    whole = WalReader(start, SEGMENT, version)
    whole.feed(log)
    events = whole.take()
    (long,) = (
        each for each in events if isinstance(each, Commit) and 100 in each.deleted.values()
    )
    first = WalReader(start, SEGMENT, version)
    first.feed(log[: long.start - start])  # all of it but the commit
    segment = Lsn(long.start - long.start % SEGMENT)
    left, counted = first.unended(), first.position
    again = WalReader(segment, SEGMENT, version, unended=left, counted=counted)
    again.feed(log[segment - start :])
    assert long in again.take()


def test_whole_transactions_are_told_from_parts_of_them(server: Server) -> None:
    events = [each for each in _read(server, 65536) if isinstance(each, Commit | Abort)]
    told = summary_of(list(events), NoNames())
    ended = {xid for first, last in told.ended for xid in range(first, last + 1)}
    assert ended == {each.xid for each in events}
    ((first, last, whole),) = told.parts
    assert (first, last) == (whole + 1, whole + 1)
    assert {first} & ended == set()
    assert any(isinstance(each, Abort) for each in events)


def test_a_spell_of_minimal_log_is_found_where_it_begins(server: Server) -> None:
    assert [event for event in _read(server, 65536) if isinstance(event, Minimal)] == []
    ((before,),) = server.sql("select pg_current_wal_lsn()::text")
    for settings in ({"wal_level": "minimal", "max_wal_senders": 0}, {"wal_level": "replica"}):
        server.stop()
        server.configure(**settings)
        server.start()
        server.sql("insert into entries values ((select max(id) + 1 from entries), '')")
    found = [event for event in _read(server, 65536) if isinstance(event, Minimal)]
    assert [event.start > lsn_from_text(before) for event in found] == [True]


def test_what_a_server_writes_can_nearly_all_be_condensed(server: Server) -> None:
    start, log = _log(server)
    reader = WalReader(start, SEGMENT, server.tools.major * 10000)
    reader.feed(log)
    records, condensed = reader.take_count(), condense(log, start, SEGMENT)
    left_out = (len(log) - len(condensed)) / 12
    room = memoryview(bytearray(len(log)))
    assert expand_into(room, condensed) == (start, len(log))
    assert room == log
    assert records > 60_000
    assert 0.99 * records < left_out <= records
