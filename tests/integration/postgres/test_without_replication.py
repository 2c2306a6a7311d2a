"""A server that grants no replication: files and log from its disk, whole or not at all."""

from functools import partial
from pathlib import Path

import pytest

from engine_rows import follow, until
from increments import Chain
from integration.copies import back_up
from integration.servers import Server, open_directory, own, run_restored, start_server
from strongroom.model.errors import WalGap
from strongroom.model.protection.backup_type import DISK_ALONE, STREAM
from strongroom.postgres.backup.check import look
from strongroom.postgres.backup.local import disk_backup
from strongroom.postgres.backup.wal_on_disk import DiskWindow
from strongroom.postgres.server.events import FileBegun, Started

pytestmark = pytest.mark.postgres
FILLER = "select g as id, repeat(md5(g::text), 20) as t from generate_series(1, 60000) g"
ALL = "select count(*), md5(string_agg(t.t, '' order by id)) from t"


class Plain(Server):
    """The same server as a role without REPLICATION reaches it."""

    @property
    def conninfo(self) -> str:
        return super().conninfo.replace("user=postgres", "user=plain")

    def admin(self, *statements: str) -> list[tuple[object, ...]]:
        return Server(self.tools, self.data_directory, self.home, self.port).sql(*statements)


@pytest.fixture(scope="module", params=[15, 18])
def plain(request):
    more = {"summarize_wal": "on"} if request.param >= 17 else {}
    settings = {"wal_keep_size": 0, "min_wal_size": "32MB", "autovacuum": "off", **more}
    with start_server(request.param, options=("--data-checksums",), **settings) as server:
        server.sql("create role plain login", f"create table t as {FILLER}")
        yield Plain(server.tools, server.data_directory, server.home, server.port, server.pid)


def test_the_check_tells_both_ways_and_what_it_says_of_the_disk_is_enough(plain):
    (problem,) = look(plain.parsed(), "orders").problems
    assert problem["hint"].startswith("Run as a superuser: ALTER ROLE plain REPLICATION; Or,")
    grants = [f"{part};" for part in problem["hint"].split(";") if "GRANT" in part]
    assert len(grants) == 3
    plain.admin(*(grant[grant.index("GRANT") :] for grant in grants))
    facts = look(plain.parsed(), "orders")
    identifier = plain.admin("select system_identifier from pg_control_system()")[0][0]
    assert (facts.ready, facts.way) == (True, DISK_ALONE)
    assert facts.system_identifier == str(identifier)
    assert not look(plain.parsed(), "orders", "stream").ready
    plain.admin("alter role plain replication")
    assert look(plain.parsed(), "orders", "stream").way == STREAM
    plain.admin("alter role plain noreplication")


def test_fulls_and_increments_are_had_over_a_promotion_too(plain, tmp_path: Path):
    chain = Chain(plain, tmp_path)
    assert chain.back_up().kind == "Full"
    plain.admin("update t set t = 'changed' where id % 100 = 0", "checkpoint")
    assert chain.back_up().kind == "Incremental"
    assert chain.results[1].read_bytes < chain.results[0].read_bytes
    plain.stop()
    signal = plain.data_directory / "standby.signal"
    signal.touch()
    own(signal)
    plain.start()
    plain.admin("select pg_promote()", "insert into t values (0, 'on another timeline')")
    history = plain.data_directory / "pg_wal" / "00000002.history"
    history.rename(plain.home / history.name)
    with pytest.raises(WalGap, match=f"timeline 2 is gone: {history}") as failed:
        chain.back_up()
    assert failed.value.hint.startswith("Copy 00000002.history there")
    (plain.home / history.name).rename(history)
    third = chain.back_up()
    assert (third.kind, third.timeline) == ("Incremental", 2)
    with chain.restored(-1) as restored:
        assert restored.sql(ALL) == plain.admin(ALL)


def from_disk(plain: Plain, on_event):
    window = partial(DiskWindow, data_directory=plain.data_directory)
    read = partial(disk_backup, directory=plain.data_directory)
    return back_up(plain.parsed(), on_event, read=read, window=window)


def test_the_log_of_a_busy_server_comes_with_it_and_is_enough_to_start(plain):
    names = []

    def write_meanwhile(event):
        if isinstance(event, FileBegun) and event.path.endswith("/1259"):
            for _ in range(3):
                plain.admin("update t set t = t || '.' where id % 2 = 0")
                names.extend(plain.admin("select 'pg_wal/' || pg_walfile_name(pg_switch_wal())"))

    read = from_disk(plain, write_meanwhile)
    assert {name for (name,) in names} <= set(read.paths)
    with open_directory() as place:
        target = place / "restored"
        read.restore(target)
        for each in (target, *target.rglob("*")):
            own(each)
        with run_restored(plain, target) as restored:
            assert restored.sql(ALL) == plain.admin(ALL)


def test_a_standby_that_replays_meanwhile_is_read_from_its_disk(plain):
    standby = back_up(Server(plain.tools, plain.data_directory, plain.home, plain.port).parsed())
    with open_directory() as place:
        standby.restore(place / "standby")
        follow(plain, place / "standby")
        with run_restored(plain, place / "standby") as server:
            beside = Plain(server.tools, server.data_directory, server.home, server.port)

            def write_meanwhile(event):
                if isinstance(event, FileBegun) and event.path.endswith("/1259"):
                    plain.admin("update t set t = t || '!' where id % 3 = 0")
                    states.append(plain.admin(ALL))
                    (end,) = plain.admin("select pg_current_wal_lsn()")[0]
                    until(beside, f"select pg_last_wal_replay_lsn() >= '{end}'")

            states = [plain.admin(ALL)]
            read = from_disk(beside, write_meanwhile)
        read.restore(place / "restored")
        (place / "restored" / "standby.signal").unlink(missing_ok=True)  # alone from now on
        with run_restored(plain, place / "restored") as restored:
            assert restored.sql(ALL) in states


def test_log_that_a_checkpoint_took_away_fails_the_backup_by_its_name(plain):
    def take_away(event):
        if isinstance(event, Started):
            for _ in range(3):
                plain.admin("select pg_logical_emit_message(true, 'x', 'y')")
                plain.admin("select pg_switch_wal()", "checkpoint")

    with pytest.raises(WalGap, match="pg_wal") as failed:
        from_disk(plain, take_away)
    assert "wal_keep_size" in failed.value.hint
