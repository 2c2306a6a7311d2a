"""What a server says to whoever streams its log, when it goes."""

import threading

import pytest

from engine_rows import until
from integration.servers import MAJORS, start_server
from seams import SystemClock
from standbys import a_pair
from strongroom.model.errors import SourceError
from strongroom.model.postgres import Lsn
from strongroom.postgres.log.wal_source import (
    Place,
    WalSource,
    checkpoint_of,
    drop_slot,
    why_behind,
)
from strongroom.postgres.server.connect import Conninfo, replication

pytestmark = pytest.mark.postgres


def test_a_server_that_shuts_down_asks_for_its_log_and_goes_once_all_of_it_is_kept() -> None:
    with start_server(15, max_slot_wal_keep_size="2GB") as server:
        stopping = threading.Thread(target=server.stop)
        with replication(Conninfo.parse(server.conninfo)) as connection:
            source = WalSource(connection, SystemClock(), "strongroom_ours")
            assert source.room == 2 << 30
            at = source.found.at
            source.begin(Place(source.found.system.timeline, Lsn(at - at % (16 << 20))))
            while source.position < at:
                source.next(20)
            assert not source.was_asked()
            stopping.start()
            with pytest.raises(SourceError):
                leave(source)
        stopping.join()
        assert not server.is_running()
        assert source.position > at, "with the record of its end"


def test_a_standby_that_gets_nothing_from_its_primary_is_level_with_itself_alone() -> None:
    with a_pair(15) as (primary, standby, _):
        until(standby, "select exists (select from pg_stat_wal_receiver)")
        assert [why_behind(each.parsed(), nothing) for each in (primary, standby)] == ["", ""]
        with replication(standby.parsed()) as connection:
            assert WalSource(connection, SystemClock(), "").is_standby
        primary.stop("immediate")
        until(standby, "select not exists (select from pg_stat_wal_receiver)")
        told = "it is a standby to which no primary streams"
        assert why_behind(standby.parsed(), nothing) == told


def nothing() -> None:
    """Nobody breaks it off."""


@pytest.mark.parametrize("major", MAJORS)
def test_log_is_there_from_the_last_checkpoint_on(postgres_server, major) -> None:
    server = postgres_server(major)
    conninfo = Conninfo.parse(server.conninfo)
    server.sql("checkpoint", "select pg_switch_wal()", "create table later (id int)")
    timeline, redo = checkpoint_of(conninfo, nothing)
    with replication(conninfo) as connection:
        source = WalSource(connection, SystemClock(), "")
        source.begin_quietly(Place(timeline, Lsn(redo - redo % (16 << 20))))
        assert source.position < redo < source.found.at
        while source.position < source.found.at:
            source.next(20)
    server.sql("drop table later")


@pytest.mark.parametrize("major", MAJORS)
def test_a_slot_is_dropped_once_and_was_there_once(postgres_server, major) -> None:
    server = postgres_server(major)
    conninfo = Conninfo.parse(server.conninfo)
    server.sql("select pg_create_physical_replication_slot('strongroom_ours', true)")
    assert [drop_slot(conninfo, "strongroom_ours") for _ in range(2)] == [True, False]
    assert server.sql("select 1 from pg_replication_slots") == []


def leave(source: WalSource) -> None:
    """Nothing is told of what comes, until the server asks."""
    while True:
        source.next(20)
        if source.was_asked():
            source.report_now(source.position)
