"""What page versions must not miss: torn reads, flags set in silence, a history that forked."""

import contextlib
from collections.abc import Iterator
from functools import partial

import pytest

from increments import Chain, a_chain
from integration.servers import Server, open_directory, own, run_restored, start_server
from seams import SystemClock
from strongroom.agent.backup import copy_server
from strongroom.model.postgres import PAGE, Lsn
from strongroom.postgres.backup import incremental
from strongroom.postgres.backup.basebackup import base_backup
from strongroom.postgres.backup.physical import Way, physical_backup
from strongroom.postgres.pages.page_versions import ParentPages
from strongroom.postgres.server.events import FileBegun, FileData, FileEnded, Started

pytestmark = [pytest.mark.postgres, pytest.mark.P6]
SECTOR = 512


@pytest.fixture(params=[14, 15])
def chain(request) -> Iterator[Chain]:
    """Without checksums, for there nothing else would tell."""
    with start_server(request.param, autovacuum="off") as server, a_chain(server) as chain:
        yield chain


def path_of(server: Server, table: str) -> str:
    return server.sql(f"select pg_relation_filepath('{table}')")[0][0]


def page_on_disk(server: Server, path: str) -> bytes:
    server.sql("checkpoint")
    return (server.data_directory / path).read_bytes()[:PAGE]


def torn_reading(server: Server, path: str, change: str, torn: list[bytes]):
    """`change` is made while the backup runs, and the first page of `path` is read while it is
    being written: the new first sector, and the rest as it was.
    """
    older = page_on_disk(server, path)

    def backup(*given, **more):
        inside = False
        for event in physical_backup(*given, **more):
            if isinstance(event, Started):
                server.sql(change, "checkpoint")
            if isinstance(event, FileBegun):
                inside = event.path == path
            if inside and isinstance(event, FileData):
                newer = bytes(event.data)
                assert newer[:PAGE] != older, "it was read before the change"
                torn.append(newer[:SECTOR] + older[SECTOR:] + newer[PAGE:])
                inside = False
                yield FileData(memoryview(torn[0]))
                continue
            yield event

    return backup


def with_a_torn_parent(chain: Chain, monkeypatch) -> None:
    server = chain.server
    server.sql("create table t (id int, note text)", "insert into t values (1, repeat('x', 900))")
    path, torn = path_of(server, "t"), []
    change = "insert into t values (2, repeat('y', 900))"
    with monkeypatch.context() as within:
        reading = torn_reading(server, path, change, torn)
        within.setattr(copy_server, "physical_backup", reading)
        chain.back_up()
    assert len(torn) == 1


def test_a_row_that_only_the_parents_log_would_mend_is_in_the_increment(chain, monkeypatch):
    with_a_torn_parent(chain, monkeypatch)
    assert chain.back_up().kind == "Incremental"
    with chain.restored(1) as clone:
        assert clone.sql("select id from t order by id") == [(1,), (2,)]


def test_without_the_rule_of_the_parents_start_that_row_would_be_lost(chain, monkeypatch):
    """The rule's reason, and the proof that the test before can fail."""
    with_a_torn_parent(chain, monkeypatch)
    monkeypatch.setattr(
        incremental, "ParentPages", lambda packed, start: ParentPages(packed, Lsn((1 << 64) - 1))
    )
    chain.back_up()
    with chain.restored(1) as clone:
        assert clone.sql("select id from t order by id") == [(1,)]


def words(chain: Chain, number: int, path: str) -> tuple[bytes, bytes]:
    """(pd_lsn, checksum and flags) of the first page."""
    pages = ParentPages(chain.manifests[number].page_versions[path], Lsn(1))
    high, low, check = (column[:4] for column in pages.columns)
    return high + low, check


def test_a_page_that_vacuum_marks_all_visible_without_a_new_lsn_is_in_the_increment(chain):
    server = chain.server
    server.sql(
        "create table t (id int primary key)",
        "insert into t select generate_series(1, 100)",
        "select count(*) from t",
        "checkpoint",
    )
    chain.back_up()
    server.sql("vacuum t")
    chain.back_up()
    path = path_of(server, "t")
    (lsn, check), (lsn_now, check_now) = words(chain, 0, path), words(chain, 1, path)
    assert lsn == lsn_now
    assert check != check_now, "nothing but the flags tells"
    with chain.restored(1) as clone:
        clone.sql("delete from t where id = 7")
        found = clone.sql("set enable_seqscan = off", "select count(*) from t where id > 0")
        assert found == [(99,)], "an index-only scan believes a stale visibility map"


def test_a_page_that_is_emptied_of_its_bytes_and_one_that_is_new_are_right(chain):
    server = chain.server
    server.sql("create table t as select g, repeat('z', 500) as s from generate_series(1, 500) g")
    chain.back_up()
    server.sql("delete from t where g > 20", "vacuum t", "create table n (id int)")
    server.sql("insert into n values (1)")
    chain.back_up()
    server.sql("insert into t select g, 'again' from generate_series(21, 900) g")
    chain.back_up()
    with chain.restored(2) as clone:
        assert clone.digests() == server.digests()


@contextlib.contextmanager
def promoted(chain: Chain, number: int) -> Iterator[Server]:
    """A server restored from a point that goes its own way from there: timeline 2."""
    with open_directory() as place:
        directory = place / "clone"
        chain.restore(number, directory)
        (directory / "standby.signal").touch()
        own(directory / "standby.signal")
        with run_restored(chain.server, directory) as clone:
            clone.sql("select pg_promote()")
            yield clone


def test_after_a_fork_only_a_point_before_it_may_be_leant_on(chain):
    chain.server.sql("create table t as select generate_series(1, 1000) g")
    chain.back_up()
    chain.server.sql("insert into t select generate_series(1, 200000)", "select pg_switch_wal()")
    chain.back_up()
    with promoted(chain, 0) as clone:
        clone.sql("update t set g = -g", "checkpoint")
        told = chain.back_up(clone, on=1)
        assert told.kind == "Full"
        assert "not on the history" in told.why_full
        told = chain.back_up(clone, on=0)
        assert (told.kind, told.timeline) == ("Incremental", 2)
        wanted = clone.digests()
        for source in ("stream", "disk"):  # the old primary is the name's again
            told = chain.back_up(chain.server, on=3, source=source)
            assert told.kind == "Full"
            assert "is not on the history of the server's timeline 1" in told.why_full
    with chain.restored(3) as again:
        assert again.digests() == wanted


def test_a_server_that_was_set_back_begins_a_new_generation(chain):
    chain.server.sql("create table t as select generate_series(1, 1000) g")
    chain.back_up()
    chain.server.sql("insert into t select generate_series(1, 300000)", "select pg_switch_wal()")
    chain.server.sql("insert into t select generate_series(1, 300000)", "select pg_switch_wal()")
    chain.back_up()
    with chain.restored(0) as clone:
        told = chain.back_up(clone, on=1)
        assert told.kind == "Full"
        assert "gone back" in told.why_full


def test_another_server_behind_the_name_begins_a_new_generation(chain):
    chain.back_up()
    with start_server(chain.server.tools.major) as other:
        told = chain.back_up(other)
    assert told.kind == "Full"
    assert "system identifier" in told.why_full
    assert chain.manifests[1].facts.generation != chain.manifests[0].facts.generation


def test_an_event_that_ends_a_file_is_not_lost(chain):
    """The stage between server and packs hands on every file's end."""
    begun = ended = 0
    stage = incremental.Increment()
    log: list[object] = []
    base = partial(base_backup, prepare=stage.prepare)
    way, parsed = Way(base), chain.server.parsed()
    source = physical_backup(parsed, "count", log.append, SystemClock(), way=way)
    for event in stage.events(source):
        begun += isinstance(event, FileBegun) and event.kind in {"main", "other"}
        ended += isinstance(event, FileEnded)
    assert begun == ended > 500
