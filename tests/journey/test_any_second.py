"""Any second, as a person sees it: the log is streamed, and what was lost at noon is had back."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.dataprotection import models as m
from azure.mgmt.postgresqlflexibleservers import PostgreSQLManagementClient
from azure.mgmt.postgresqlflexibleservers import models as pg

from archiver import archiving
from integration.servers import Server, own, start_server
from journey.cloud import Cloud, ended_job
from journey.person import Person
from journey.world import until
from ports import free_port
from strongroom.model.errors import TargetError
from strongroom.model.postgres import lsn_to_text
from strongroom.postgres.restore.wal_recovery import await_recovered
from strongroom.postgres.server import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.journey]
FILLER = "select repeat(md5(g::text), 30) as t from generate_series(1, 90000) g"
_NOW = "to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || 'Z'"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15, wal_keep_size=0, min_wal_size="32MB") as found:
        found.sql("create table entries (n int primary key, at timestamptz default now())")
        found.sql("insert into entries select generate_series(1, 100)")
        yield found


@pytest.fixture(scope="module")
def protected(person: Person, server: Server) -> str:
    person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
    person.ok("server", "set", "orders", "--keep-every-second", "7d")
    until("the stream", lambda: ask(person, "select 1 from wal_streams where timeline > 0"))
    return "orders"


def ask(person: Person, query: str) -> list[tuple[object, ...]]:
    """The catalogue itself: asked often, a command would take the machine."""
    place = f"file:{person.data}/serve/catalogue.sqlite?mode=ro"
    with contextlib.closing(sqlite3.connect(place, uri=True)) as connection:
        return connection.execute(query).fetchall()


def kept(person: Person, server: Server, *, busy: bool = True) -> None:
    """Wait until the vault has all that is committed now; a busy server's log waits less."""
    if busy:
        server.sql("select pg_logical_emit_message(true, 'much', repeat('x', 9 << 20))")
    asked = "select (pg_current_wal_lsn() - '0/0')::bigint, pg_walfile_name(pg_current_wal_lsn())"
    ((end, name),) = server.sql(asked)
    reached = (
        f"select 1 from wal_streams where end_lsn >= {end} and timeline = {int(name[:8], 16)}"
    )
    until("the log in the vault", lambda: ask(person, reached))


def a_moment(server: Server) -> tuple[str, int]:
    """Now, by the server's clock, and how many rows there are; the next commit is later."""
    ((at, count),) = server.sql(f"select {_NOW}, count(*) from entries")
    server.sql("create table if not exists later (n int)", "insert into later values (1)")
    return str(at), int(count)


def count_in(directory: Path) -> int:
    running = scratch.running(directory)
    with psycopg.connect(running.conninfo) as connection:
        (count,) = connection.execute("select count(*) from entries").fetchone()
    return int(count)


def restored(person: Person, server: Server, words: list[str], name: str) -> int:
    directory = person.home / name
    port = str(free_port())
    told = person.ok(
        "restore", "orders", *words, "--to-dir", str(directory), "--start", "--port", port, "--yes"
    )
    assert f"PostgreSQL runs there on port {port}" in told
    try:
        assert not (directory / "strongroom_wal").exists()
        return count_in(directory)
    finally:
        scratch.stop(server.tools, directory, "immediate")


def test_rows_that_were_deleted_are_had_back_from_the_second_before(person, server, protected):
    server.sql("insert into entries select generate_series(101, 500)")
    before, count = a_moment(server)
    server.sql("select pg_create_restore_point('before the clearing')")
    server.sql("delete from entries where n <= 450")
    kept(person, server, busy=False)

    plan = person.json("plan", protected, "--at", before)
    assert (plan["timeline"], plan["capped"]) == (1, False)
    assert restored(person, server, ["--at", before], "second") == count == 500
    words = ["--at-name", "before the clearing"]
    assert restored(person, server, words, "named") == 500
    told = person.json("timeline", protected, "--around", before)
    assert {row["table"]: row["deleted"] for row in told["losses"]} == {
        "postgres.public.entries": 450
    }
    lost = person.json("timeline", protected, "--around", before)["losses"][0]
    assert restored(person, server, ["--at", lost["before"]], "before") == 500


def test_a_table_of_that_second_is_taken_alone(person, server, protected):
    before, _ = a_moment(server)
    server.sql("delete from entries")
    kept(person, server)
    words = ["--at", before, "--database", "postgres", "--table", "entries"]
    words += ["--rename", "entries_then", "--to-server", protected, "--yes"]
    person.ok("restore", protected, *words)
    assert server.sql("select count(*) from entries_then") == [(50,)]


def test_an_agent_that_is_killed_loses_nothing_of_the_log(person, server, protected):
    os.kill(person.child("agent"), signal.SIGKILL)
    server.sql("insert into entries select generate_series(1001, 1200)")
    at, count = a_moment(server)
    kept(person, server)
    assert person.json("timeline", protected)["gaps"] == []
    assert restored(person, server, ["--at", at], "killed") == count == 200


def promoted(server: Server) -> None:
    """A standby in its own place for a moment: its timeline is another one since."""
    server.stop()
    (server.data_directory / "standby.signal").touch()
    own(server.data_directory / "standby.signal")
    server.start()
    server.sql("select pg_promote()")


def test_azures_sdk_finds_the_times_restores_one_and_makes_a_server_of_it(
    person, server, protected
):
    at, count = a_moment(server)
    server.sql("delete from entries where n % 2 = 0")
    kept(person, server)
    found = json.loads((person.data / "connection.json").read_text())
    cloud = Cloud(SimpleNamespace(connection=found))
    cloud.group, cloud.vault = found["resourceGroup"], found["vault"]
    (instance,) = cloud.backup.backup_instances.list(cloud.group, cloud.vault)
    of_it = (cloud.group, cloud.vault, instance.name)
    asked = m.AzureBackupFindRestorableTimeRangesRequest(source_data_store_type="OperationalStore")
    ranges = cloud.backup.restorable_time_ranges.find(*of_it, asked).properties
    assert [one.start_time < at < one.end_time for one in ranges.restorable_time_ranges] == [True]

    directory, source = person.home / "by-azure", instance.properties.data_source_info
    source.resource_uri = f"file://{directory}?start=true&port={free_port()}"
    target = m.RestoreTargetInfo(
        recovery_option="FailIfExists", restore_location="local", datasource_info=source
    )
    wish = m.AzureBackupRecoveryTimeBasedRestoreRequest(
        recovery_point_time=at,
        source_data_store_type="OperationalStore",
        restore_target_info=target,
    )
    job = cloud.backup.backup_instances.begin_trigger_restore(*of_it, wish).result()
    assert ended_job(cloud, job).properties.status == "Completed"
    assert count_in(directory) == count
    scratch.stop(server.tools, directory, "immediate")

    servers = PostgreSQLManagementClient(
        cloud.credential, found["subscription"], **cloud.options
    ).servers
    new = pg.Server(
        location=found["location"],
        create_mode="PointInTimeRestore",
        source_server_resource_id=source.resource_id,
        point_in_time_utc=datetime.fromisoformat(at),
    )
    made = servers.begin_create_or_update(cloud.group, "orders-then", new).result()
    directory = server.data_directory.parent / "orders-then"
    assert (made.name, count_in(directory)) == ("orders-then", count)
    until("its agent to tell of it", lambda: servers.get(cloud.group, made.name).state == "Ready")
    scratch.stop(server.tools, directory, "immediate")
    with pytest.raises(HttpResponseError, match="already"):
        servers.begin_create_or_update(cloud.group, "orders-then", new)
    new.point_in_time_utc = datetime.fromisoformat("2020-01-01T00:00:00Z")
    with pytest.raises(HttpResponseError, match="lies before all"):
        servers.begin_create_or_update(cloud.group, "orders-before", new)


def test_a_standby_follows_from_the_vault_alone_and_over_a_promotion(person, server, protected):
    directory, port = person.home / "standby", str(free_port())
    words = ["--standby", "--to-dir", str(directory), "--start", "--port", port, "--yes"]
    job = dict(person.json("restore", protected, *words))["job"]

    def has(count: int) -> bool:
        try:
            return count_in(directory) == count
        except (psycopg.OperationalError, TargetError, UnicodeError):
            return False  # not there yet, its pid file half written, or not consistent

    for number in (1301, 1401):
        server.sql(
            f"insert into entries select generate_series({number}, {number + 32})",
            # More than a segment: whoever stopped following would not hand over a whole one.
            "select pg_logical_emit_message(true, 'much', repeat('x', 20 << 20))",
        )
        ((count,),) = server.sql("select count(*) from entries")
        until("the standby to have it all", lambda count=count: has(count), 120)
        if number == 1301:
            promoted(server)
    assert person.json("timeline", protected)["stream"]["timeline"] == 2
    person.ok("cancel", str(job))
    scratch.stop(server.tools, directory, "immediate")


def test_a_recovery_that_is_cancelled_leaves_no_server_behind(person, server, protected):
    """It is held where it replays: it has all of its log, and would go on by itself."""
    at, _ = a_moment(server)
    kept(person, server)
    directory, port = person.home / "given-up", str(free_port())
    words = ["--at", at, "--to-dir", str(directory), "--start", "--port", port]
    job = str(dict(person.json("restore", protected, *words, "--yes", "--no-wait"))["job"])
    held = until("the recovery", lambda: recovering(directory), every=0.005)
    os.kill(held, signal.SIGSTOP)
    try:
        until("all of the log", (directory / "strongroom_wal" / "complete").exists)
        person.ok("cancel", job)
        until("the server to end", lambda: not (directory / "postmaster.pid").exists())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(held, signal.SIGCONT)
        if (directory / "postmaster.pid").exists():
            scratch.stop(server.tools, directory, "immediate")


def recovering(directory: Path) -> int:
    """The process that replays in a server; 0 while there is none. Source: proc(5)."""
    try:
        postmaster = scratch.running(directory).pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        titles = {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
    except (TargetError, OSError, UnicodeError):
        return 0
    return next((pid for pid, title in titles.items() if b"startup" in title), 0)


def test_a_standby_that_is_promoted_is_a_server_of_its_own(person, server, protected):
    directory, port = person.home / "promoted", str(free_port())
    words = ["--standby", "--to-dir", str(directory), "--start", "--port", port, "--yes"]
    job = str(dict(person.json("restore", protected, *words))["job"])

    def answers() -> bool:
        try:
            return count_in(directory) > 0
        except (psycopg.Error, TargetError, UnicodeError):
            return False  # as above

    until("the standby to answer", answers, 120)
    with psycopg.connect(scratch.running(directory).conninfo, autocommit=True) as standby:
        assert standby.execute("select pg_is_in_recovery()").fetchone() == (True,)
        assert person.json("jobs")[0]["status"] == "InProgress", "it follows, and goes on to"
        # Not waited for here: a query that stands would hold up the replay it waits for.
        standby.execute("select pg_promote(wait => false)")
    person.ok("jobs", "--follow", job)
    with psycopg.connect(scratch.running(directory).conninfo) as alone:
        alone.execute("insert into entries values (-1)")
    scratch.stop(server.tools, directory, "immediate")


def test_a_moment_is_had_back_as_files_as_one_database_and_in_place(person, server, protected):
    server.sql("insert into entries select generate_series(1501, 1520)")
    before, count = a_moment(server)
    server.sql("delete from entries")
    kept(person, server)
    at, files = ("--at", before), person.home / "files"
    person.ok("restore", protected, *at, "--to-files", str(files), "--prefix", "then", "--yes")
    assert rows_in_files(server, files) == count
    words = ["--database", "postgres", "--rename", "noon", "--to-server", protected, "--yes"]
    person.ok("restore", protected, *at, *words)
    assert server.sql("select count(*) from entries", database="noon") == [(count,)]
    before = person.json("timeline", protected)["stream"]["timeline"]
    server.stop()
    person.ok("restore", protected, *at, "--in-place", "--yes")
    server.start()
    await_recovered(server.data_directory, time.sleep)
    assert server.sql("select count(*) from entries") == [(count,)]
    server.sql("insert into entries values (1600)")
    kept(person, server)
    told = person.json("timeline", protected)
    assert told["stream"]["timeline"] > before  # those of other restores are passed over
    assert told["gaps"] == []


def rows_in_files(server: Server, directory: Path) -> int:
    """Of the table, in the dumps that lie there."""
    (dump,) = [path for path in directory.rglob("*") if "postgres" in path.name]
    program = str(server.tools.program("pg_restore"))
    words = [program, "-f", "-", "--data-only", "--table", "entries", str(dump)]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return len(text.partition("FROM stdin;\n")[2].partition("\\.\n")[0].splitlines())


def test_log_that_is_lost_is_a_gap_that_nothing_is_restored_across(person, server, protected):
    before = person.json("timeline", protected)["stream"]["timeline"]
    known = len(ask(person, "select 1 from recovery_points where state = 'Completed'"))
    server.stop()
    server.configure(max_wal_senders=0)
    server.start()
    for n in range(4):
        server.sql(f"insert into entries values ({2000 + n})", "select pg_switch_wal()")
    server.sql("checkpoint")
    lost, _ = a_moment(server)
    server.stop()
    server.configure(max_wal_senders=10)
    server.start()
    until("the gap", lambda: ask(person, "select 1 from wal_gaps"), 120)
    points = "select 1 from recovery_points where state = 'Completed'"
    until("a new point", lambda: len(ask(person, points)) > known, 120)
    server.sql("insert into entries values (3000)")
    at, count = a_moment(server)
    kept(person, server)
    (gap,) = person.json("timeline", protected)["gaps"]
    assert (gap["timeline"], gap["end"] > gap["start"]) == (before, True)
    bounds = f"{lsn_to_text(gap['start'])} to {lsn_to_text(gap['end'])} of timeline {before}"
    assert f"a gap from {bounds}" in person.ok("timeline", protected)
    refused = person.run("plan", protected, "--at", lost)
    assert "without a hole" in refused.stderr
    assert restored(person, server, ["--at", at], "behind") == count


def test_a_server_is_never_filled_up_for_a_vault_that_is_away(person, server, protected):
    held = "select coalesce(max(pg_current_wal_lsn() - restart_lsn), 0)::bigint"
    held += " from pg_replication_slots"
    person.ok("server", "set", protected, "--hold-at-most", "64MiB")
    server.sql("insert into entries values (4000)")
    kept(person, server)  # an answer has told the agent
    gaps, points = (f"select 1 from {table}" for table in ("wal_gaps", "recovery_points"))
    known, taken = len(ask(person, gaps)), len(ask(person, points))
    ((begun,),) = server.sql("select pg_current_wal_lsn()::text")
    store = person.child("store")
    os.kill(store, signal.SIGSTOP)
    try:
        for number in range(2):
            server.sql(f"create table filler_{number} as {FILLER}")
        ((name,),) = server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        assert server.sql(f"select pg_current_wal_lsn() - '{begun}' > {64 << 20}") == [(True,)]
        until("the slot to be let go", lambda: server.sql(held)[0][0] < 64 << 20, 120)
        server.sql("checkpoint", "insert into entries values (4001)")  # it commits on
        server.sql("select pg_switch_wal()", "checkpoint")
        older = f"name ~ '^{name[:8]}[0-9A-F]{{16}}$' and name <= '{name}'"
        assert server.sql(f"select 1 from pg_ls_waldir() where {older}") == []
    finally:
        os.kill(store, signal.SIGCONT)
    until("the gap", lambda: len(ask(person, gaps)) > known, 300)
    until("a new point", lambda: len(ask(person, points)) > taken, 120)
    at, count = a_moment(server)
    kept(person, server)
    assert restored(person, server, ["--at", at], "filled") == count


def test_no_checkpoint_waits_for_a_vault_that_is_away(person, server, protected):
    """A server that bounds its slots takes ours away, and waits for its walsender to go first."""
    person.ok("server", "set", protected, "--hold-at-most", "16GiB")
    server.sql("alter system set max_slot_wal_keep_size = '64MB'", "select pg_reload_conf()")
    server.sql("select pg_terminate_backend(pid) from pg_stat_replication")
    lasting = "select 1 from pg_replication_slots where active and not temporary"
    until("a slot that lasts", lambda: server.sql(lasting))
    server.sql("insert into entries values (4100)")
    kept(person, server)
    points = "select 1 from recovery_points where state = 'Completed'"
    store, taken = person.child("store"), len(ask(person, points))
    os.kill(store, signal.SIGSTOP)
    try:
        for number in range(2, 4):
            server.sql(f"create table filler_{number} as {FILLER}")
        with server.connect() as connection:
            connection.execute("set statement_timeout = '45s'")  # it may be read no more
            connection.execute("checkpoint")
    finally:
        os.kill(store, signal.SIGCONT)
        server.sql("alter system reset max_slot_wal_keep_size", "select pg_reload_conf()")
    until("a new point", lambda: len(ask(person, points)) > taken, 120)
    at, count = a_moment(server)
    kept(person, server)
    assert restored(person, server, ["--at", at], "bounded") == count


@pytest.fixture
def archived(person: Person, server: Server, protected: str) -> Iterator[None]:
    """No replication is granted: its log comes by its archive_command, points from the disk."""
    person.ok("server", "set", protected, "--hold-at-most", "1GiB")  # of all that it has now
    spool = person.home / "spool"
    spool.mkdir(mode=0o770)
    own(spool)
    with archiving(server, person.home / "asks", spool) as command:
        # A restore in place has turned it off, in a file that goes before the other.
        server.sql("alter system set archive_mode = on")
        server.sql(f"alter system set archive_command = '{command}'")
        server.stop()
        server.start()
        server.sql(
            "create role plain login",
            "grant pg_read_all_settings to plain",
            "grant execute on function pg_backup_start, pg_backup_stop to plain",
        )
        plain = server.conninfo.replace("user=postgres", "user=plain")
        agent = ("--data", str(person.data / "agent"), "--archive", str(spool), "--replace")
        person.ok("agent", "add", protected, *agent, stdin=plain)
        told = person.ok("agent", "check", protected, *agent[:2])
        assert json.loads(told)["way"] == "DiskAlone"
        yield
        server.stop("immediate")


def test_the_log_of_a_server_that_streams_none_comes_by_its_archive_command(
    person, server, protected, archived
):
    def is_archived() -> None:
        """Wait until PostgreSQL has heard of success for all that is committed now."""
        ((name,),) = server.sql("select pg_walfile_name(pg_switch_wal())")
        seen = f"select last_archived_wal >= '{name}' from pg_stat_archiver"
        until("the archive", lambda: server.sql(seen)[0][0], 120)

    gaps, kinds = len(person.json("timeline", protected)["gaps"]), []
    for number in (5001, 5201):
        server.sql(f"insert into entries select generate_series({number}, {number + 99})")
        before, count = a_moment(server)
        server.sql(f"delete from entries where n > {number}")
        is_archived()
        assert restored(person, server, ["--at", before], f"archived-{number}") == count
        if number == 5001:
            promoted(server)
            kinds.append(person.json("backup", protected, "--full")["recoveryPoint"]["kind"])
    kinds.append(person.json("backup", protected)["recoveryPoint"]["kind"])
    assert kinds == ["Full", "Incremental"]
    told = person.json("timeline", protected)
    assert (told["stream"]["slot"], len(told["gaps"])) == ("Archive", gaps)
    assert told["stream"]["why"].startswith("archive_timeout is 0")
    assert "the log of orders is archived by the server" in person.ok("timeline", protected)
    ((left,),) = server.sql("select count(*) from entries")
    assert restored(person, server, [], "disk-alone") == left
