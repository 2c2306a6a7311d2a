"""What goes wrong in the middle of a backup: typed, soon, and nothing is left behind."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from integration.copies import back_up
from integration.servers import Server, start_server
from seams import SystemClock
from strongroom.model.errors import Cancelled, SourceRefused, SourceStopped, StoreFull, WalGap
from strongroom.model.postgres import Lsn, Timeline
from strongroom.postgres.backup.basebackup import base_backup
from strongroom.postgres.backup.local import disk_backup
from strongroom.postgres.backup.physical import physical_backup
from strongroom.postgres.log import walstream
from strongroom.postgres.log.walstream import WalWindow
from strongroom.postgres.server import answers
from strongroom.postgres.server.connect import replication
from strongroom.postgres.server.events import FileBegun, FileData

pytestmark = pytest.mark.postgres


def _fill(server: Server) -> None:
    server.sql(
        "create table big as select n, repeat(md5(n::text), 20) from generate_series(1, 90000) n"
    )


@pytest.fixture(scope="module", params=[14, 15])
def server(request) -> Iterator[Server]:
    with start_server(request.param, wal_keep_size=0) as server:
        _fill(server)
        yield server


def no_connection_left(server: Server) -> bool:
    deadline = time.monotonic() + 10
    query = "select count(*) from pg_stat_activity where backend_type = 'walsender'"
    while server.sql(query) != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return server.sql("select count(*) from pg_replication_slots") == [(0,)]


@pytest.mark.parametrize("major", [14, 18])
def test_a_server_that_dies_in_the_middle_is_source_stopped(major):
    with start_server(major) as server:
        _fill(server)
        seen = 0

        def kill_soon(event):
            nonlocal seen
            seen += isinstance(event, FileData)
            if seen == 200 and isinstance(event, FileData):
                server.kill()

        threads = threading.active_count()
        with pytest.raises(SourceStopped) as caught:
            back_up(server.parsed(), kill_soon)
        assert caught.value.retry.value == "later"
        assert threading.active_count() == threads


def test_a_fast_shutdown_in_the_middle_is_source_stopped():
    with start_server(15) as server:
        _fill(server)
        stopping = threading.Thread(target=server.stop)

        def stop_now(event):
            if (
                isinstance(event, FileBegun)
                and event.path.startswith("base/")
                and stopping.ident is None
            ):
                sending = _walsenders(server, "backup")
                stopping.start()
                _until_gone(sending)

        with pytest.raises(SourceStopped):
            back_up(server.parsed(), stop_now)
        stopping.join()


def _until_gone(pids: list[int]) -> None:
    """The server ends what sends the copy; to go on before that would be to race with it."""
    assert pids
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _walsenders(server: Server, state: str = "") -> list[int]:
    query = "select pid from pg_stat_replication"
    return [pid for (pid,) in server.sql(f"{query} where state = '{state}' or '{state}' = ''")]


def test_a_server_that_falls_silent_is_noticed(server, monkeypatch):
    monkeypatch.setattr(answers, "STALL_SECONDS", 1.0)
    frozen: list[int] = []

    def freeze(event):
        if not frozen and isinstance(event, FileBegun) and event.path.startswith("base/"):
            frozen.extend(_walsenders(server))
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)

    try:
        with pytest.raises(SourceStopped, match="silent for"):
            back_up(server.parsed(), freeze)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert no_connection_left(server)


def test_a_silent_log_is_noticed(server, monkeypatch):
    monkeypatch.setattr(walstream, "STALL_SECONDS", 1.0)
    monkeypatch.setattr(walstream, "_STATUS_SECONDS", 0.2)
    with WalWindow(server.parsed(), SystemClock()) as window:
        start = _start_of(server)
        (pid,) = _walsenders(server)
        events = window.events(start, Timeline(1))
        next(events)  # the segment begins; the stream stands
        os.kill(pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with pytest.raises(SourceStopped, match="WAL stream was silent"):
                list(events)
            assert time.monotonic() - begun < 5
        finally:
            os.kill(pid, signal.SIGCONT)
    assert no_connection_left(server)


def _start_of(server: Server) -> Lsn:
    (text,) = server.sql("select pg_current_wal_lsn()::text")[0]
    high, low = text.split("/")
    return Lsn(int(high, 16) << 32 | int(low, 16))


def test_an_idle_log_is_no_stall(server, monkeypatch):
    monkeypatch.setattr(walstream, "STALL_SECONDS", 1.0)
    monkeypatch.setattr(walstream, "_STATUS_SECONDS", 0.2)
    with WalWindow(server.parsed(), SystemClock()) as window:
        start = _start_of(server)
        stopper = threading.Timer(2.5, window.stop_at, [start])
        stopper.start()
        assert [e.path for e in window.events(start, Timeline(1)) if isinstance(e, FileBegun)]
        stopper.join()


def test_who_watches_can_end_the_waiting(server):
    frozen: list[int] = []
    asked = 0

    def watch():
        nonlocal asked
        asked += bool(frozen)
        if asked > 1:
            raise Cancelled("somebody asked for it")

    def read():
        with closing(base_backup(server.parsed(), "cancelled", watch=watch)) as events:
            for event in events:
                if not frozen and isinstance(event, FileBegun):
                    frozen.extend(_walsenders(server))
                    os.kill(frozen[0], signal.SIGSTOP)

    begun = time.monotonic()
    try:
        with pytest.raises(Cancelled):
            read()
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    assert time.monotonic() - begun < 5
    assert no_connection_left(server)


def test_closing_the_iterator_leaves_nothing(server):
    threads = threading.active_count()
    with closing(
        physical_backup(server.parsed(), "given up", lambda _: None, SystemClock())
    ) as events:
        for event in events:
            if isinstance(event, FileData):
                break
    assert threading.active_count() == threads
    assert no_connection_left(server)


def test_what_the_log_sink_raises_comes_out(server):
    def full(event):
        raise StoreFull("no space")

    with pytest.raises(StoreFull):
        list(physical_backup(server.parsed(), "full", full, SystemClock()))
    assert no_connection_left(server)


def test_log_that_is_gone_is_a_gap(server):
    start = _start_of(server)
    for _ in range(4):
        server.sql("select pg_switch_wal()", "create table if not exists t ()", "checkpoint")
    with WalWindow(server.parsed(), SystemClock()) as window, pytest.raises(WalGap):
        list(window.events(Lsn(start - (16 << 20)), Timeline(1)))


def test_a_slot_that_the_server_took_back_ends_the_backup_soon():
    """max_slot_wal_keep_size: the server ends our connection to release the slot."""
    with (
        start_server(15, max_slot_wal_keep_size="1MB", wal_keep_size=0) as server,
        WalWindow(server.parsed(), SystemClock()) as window,
    ):
        start = _start_of(server)
        for _ in range(4):
            server.sql("select pg_switch_wal()", "create table if not exists t ()")
        server.sql("checkpoint")
        with pytest.raises((WalGap, SourceStopped)):
            list(window.events(start, Timeline(1)))


def test_a_server_side_error_in_the_middle_is_typed(server):
    """A file that the server itself may not read."""
    hidden = server.data_directory / "unreadable"
    hidden.mkdir()
    try:
        # A name that the tar format of the server cannot hold: it refuses by itself.
        (hidden / ("x" * 120)).write_bytes(b"1")
        with pytest.raises(Exception, match="too long") as caught:
            back_up(server.parsed())
        assert caught.type.__module__ == "strongroom.model.errors"
    finally:
        (hidden / ("x" * 120)).unlink()
        hidden.rmdir()
    assert no_connection_left(server)


def test_a_name_that_is_not_utf8_is_refused_by_name(server):
    path = os.fsencode(server.data_directory) + b"/not-utf8-\xff"
    with open(path, "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(b"1")
    try:
        with pytest.raises(Exception, match="not UTF-8") as caught:
            back_up(server.parsed())
        assert caught.type.__name__ == "SourceRefused", "a dump would not be for this one's sake"
        read = back_up(server.parsed(), read=partial(disk_backup, directory=server.data_directory))
        assert ["not-utf8" in told.message for told in read.warnings] == [True]
        assert not any("not-utf8" in path for path in read.paths)
    finally:
        os.unlink(path)  # noqa: PTH108


def test_a_database_behind_a_link_is_no_backup(server):
    """The server passes it over with a warning alone, whatever language it speaks."""
    server.sql("create database moved")
    [(oid,)] = server.sql("select oid from pg_database where datname = 'moved'")
    place, elsewhere = server.data_directory / f"base/{oid}", server.home / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    try:
        assert server.sql("select count(*) > 0 from pg_class", database="moved") == [(True,)]
        for read in (base_backup, partial(disk_backup, directory=server.data_directory)):
            with pytest.raises(SourceRefused, match=f"base/{oid} is a link"):
                back_up(server.parsed(), read=read)
    finally:
        place.unlink()
        elsewhere.rename(place)
        server.sql("drop database moved")


def test_a_long_backup_lets_go_of_the_log_it_has_taken(server, monkeypatch):
    monkeypatch.setattr(walstream, "_STATUS_SECONDS", 0.1)
    with WalWindow(server.parsed(), SystemClock()) as window:
        start = _start_of(server)
        reader = threading.Thread(target=lambda: list(window.events(start, Timeline(1))))
        reader.start()
        server.sql("select pg_switch_wal()", "create table if not exists t ()")
        target = _start_of(server)
        deadline = time.monotonic() + 10
        query = "select coalesce(restart_lsn - '0/0'::pg_lsn, 0)::bigint from pg_replication_slots"
        while server.sql(query)[0][0] < target - (1 << 20):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        window.stop_at(start)
        reader.join(10)
        assert not reader.is_alive()


def test_a_commit_never_waits_for_us_as_if_we_were_its_standby(server, monkeypatch):
    monkeypatch.setattr(walstream, "_STATUS_SECONDS", 0.1)
    server.sql("alter system set synchronous_standby_names = '*'", "select pg_reload_conf()")
    try:
        with WalWindow(server.parsed(), SystemClock()) as window:
            start = _start_of(server)
            reader = threading.Thread(target=lambda: list(window.events(start, Timeline(1))))
            reader.start()
            time.sleep(0.5)
            flushed = server.sql("select flush_lsn from pg_stat_replication")
            window.stop_at(start)
            reader.join(10)
        assert flushed == [(None,)]
    finally:
        server.sql("alter system reset synchronous_standby_names", "select pg_reload_conf()")


def test_two_backups_at_once_do_not_meet(server):
    copies = []
    threads = [
        threading.Thread(target=lambda: copies.append(back_up_quietly(server))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copies) == 2


def back_up_quietly(server: Server) -> int:
    events = physical_backup(server.parsed(), "both", lambda _: None, SystemClock())
    return sum(1 for _ in events)


def test_commands_work_after_one_was_refused(server):
    with replication(server.parsed()) as standing:
        with pytest.raises(Exception, match="unrecognized configuration parameter"):
            standing.rows("SHOW no_such_setting", "showing")
        assert standing.rows("SHOW wal_level", "showing") == [[b"replica"]]
