"""Logical backups of real servers, and their loading into servers of the same or a newer major."""

import contextlib
import os
import re
import signal
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from integration.servers import start_server
from logical import dumps
from seams import SystemClock
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE
from strongroom.datastore.places.throttle import Throttle
from strongroom.model.errors import (
    Cancelled,
    SourceRefused,
    SourceStopped,
    TargetNotEmpty,
    TargetRefused,
    ToolsMissing,
    VaultError,
)
from strongroom.model.work.operation import BY_LIMIT
from strongroom.postgres.dump import load, new_database
from strongroom.postgres.server.client import Program, client_of
from strongroom.postgres.server.connect import Conninfo

pytestmark = [pytest.mark.postgres, pytest.mark.P8]
ODD = ["orders", 'we "quote" it', "sl/ash..", "spaß 日本", "it's", "-d x=y"]
FILL = [
    "create extension pg_trgm",
    "create table plain (id int primary key, body text)",
    "insert into plain select n, md5(n::text) || repeat('x', n % 90) from "
    "generate_series(1, 30000) n",
    "create unlogged table scratch as select n from generate_series(1, 1000) n",
    "create table parts (at date, what text) partition by range (at)",
    "create table parts_1 partition of parts for values from ('2025-01-01') to ('2026-01-01')",
    "create table parts_2 partition of parts for values from ('2026-01-01') to ('2027-01-01')",
    "insert into parts select '2025-06-01'::date + n, 'row ' || n from generate_series(1, 400) n",
    'create table "Odd ""name""; --" as select 1 as "a b"',
    "select lo_from_bytea(4711, decode(repeat('00ff', 40000), 'hex'))",
    "create sequence numbers start 77",
    "select nextval('numbers')",
]


@pytest.fixture(scope="module")
def old():
    with start_server(14) as server:
        for name in ODD:
            server.sql('create database "{}"'.format(name.replace('"', '""')))
        server.sql("create database nothing")
        server.sql("create role clerk login password 'secret'", 'create role "Own er"')
        for name in ODD[:2]:
            server.sql(*FILL, database=name)
        server.sql('alter table plain owner to "Own er"', "grant select on plain to clerk",
                   "create table numbered (id int generated always as identity)",
                   "grant usage on sequence numbered_id_seq to clerk",
                   database="orders")  # fmt: skip
        yield server


@pytest.fixture(scope="module")
def new():
    with start_server(18) as server:
        yield server


def drop_all(server, roles=("clerk", '"Own er"')):
    found = server.sql("select datname from pg_database where datname !~ '^(postgres|template.)$'")
    for (name,) in found:
        server.sql('drop database "{}" with (force)'.format(name.replace('"', '""')))
    for role in roles:
        server.sql(f"drop role if exists {role}")


def large_object(server, database):
    return server.sql("select md5(lo_get(4711))", database=database)


def test_every_database_comes_back_on_a_newer_major(old, new):
    with dumps() as made:
        told = made.dump(old.conninfo)
        assert told.kind == "Logical"
        assert set(told.databases) == {*ODD, "nothing", "postgres"}
        assert told.extensions["pg_trgm"]
        assert {file.path for file in made.manifests[0].files} >= {
            "orders.dump",
            "sl%2Fash...dump",
            "globals.sql",
            "parameters.json",
            "extensions.json",
        }
        done = made.load(new, roles=True)
    assert sorted(done.databases) == sorted(told.databases)
    for name in ODD[:2]:
        assert new.digests(name) == old.digests(name) != {}
        assert large_object(new, name) == large_object(old, name)
        assert new.sql("select nextval('numbers')", database=name) == [(78,)]
    owner = "select tableowner from pg_tables where tablename = 'plain'"
    assert new.sql(owner, database="orders") == [("Own er",)]
    assert new.sql("select has_table_privilege('clerk', 'plain', 'select')", database="orders")[0][
        0
    ]
    usage = "select has_sequence_privilege('clerk', 'numbered_id_seq', 'usage')"
    assert new.sql(usage, database="orders") == [(True,)], "which 14's pg_dump leaves out"
    assert new.sql("select rolcanlogin from pg_roles where rolname = 'clerk'") == [(True,)]
    assert done.next_steps
    drop_all(new)


class Watched(HeldLease):
    """Notes what its progress has told of what holds it back, before each piece."""

    told: set[str]

    def check(self) -> None:
        self.__dict__.setdefault("told", set()).add(self.progress.held_by)
        super().check()


class Hurried(SystemClock):
    """Twenty seconds in each: what is told every ten comes twice a second."""

    def monotonic(self) -> float:
        return 20 * super().monotonic()

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 20)


@pytest.mark.parametrize("rate", [64 << 10, 0])
def test_a_dump_that_a_limit_holds_back_says_so(old, rate):
    clock = Hurried()
    throttle = Throttle(clock)
    slow = replace(WHOLE, pack_raw_size=256 << 10, lanes=2)
    slow = replace(slow, pace=lambda count: throttle.reserve(count, rate))
    with dumps() as made:
        held = made.lease(made.order(), kind=Watched)
        made.dump(old.conninfo, held, slow, clock)
    assert (BY_LIMIT in held.told) == bool(rate)


def test_a_second_dump_after_a_small_change_stores_little(old):
    with dumps() as made:
        first = made.dump(old.conninfo)
        old.sql("update plain set body = body || '!' where id between 5000 and 5900",
                database="orders")  # fmt: skip
        second = made.dump(old.conninfo)
        with start_server(15) as target:
            made.load(target, {"orders": "orders"})
            assert target.digests("orders") == old.digests("orders")
    assert second.read_bytes < first.read_bytes / 4
    assert second.raw_bytes > first.raw_bytes * 0.9


def test_a_database_is_loaded_under_another_name_beside_the_old_one(old):
    with dumps() as made:
        made.dump(old.conninfo)
        done = made.load(old, {"orders": "orders copy"})
    assert done.databases == ["orders copy"]
    assert not done.warnings
    assert old.digests("orders copy") == old.digests("orders")
    old.sql('drop database "orders copy"')


def test_without_the_roles_the_rows_come_and_a_warning_names_what_is_missing(old, new):
    with dumps() as made:
        made.dump(old.conninfo)
        done = made.load(new, {"orders": "orders"})
    assert "Own er" in done.warnings[0]["message"]
    assert new.digests("orders") == old.digests("orders")
    drop_all(new)


def test_whoever_loads_and_is_no_superuser_loads_without_owners_and_is_told(old, new):
    roles = ("clerk", '"Own er"', "loader")
    new.sql("create role loader login createdb", *(f"create role {role}" for role in roles[:2]))
    conninfo = new.conninfo.replace("user=postgres", "user=loader")
    with dumps() as made:
        made.dump(old.conninfo)
        done = made.load(SimpleNamespace(conninfo=conninfo), {"nothing": "nothing"})
    (told,) = done.warnings
    assert told["message"].endswith("the role that loads may not act for postgres")
    assert beside(new, "nothing")[0] == "loader"
    inner = "the role that loads may not act for clerk"
    old.sql("create role loader", "create database theirs owner loader")
    old.sql("create table t as select 1 a", "alter table t owner to clerk", database="theirs")
    try:
        with dumps() as made:
            made.dump(old.conninfo)
            done = made.load(SimpleNamespace(conninfo=conninfo), {"theirs": "theirs"})
    finally:
        old.sql("drop database theirs", "drop role loader")
    assert [told["message"].endswith(inner) for told in done.warnings] == [True]
    assert new.digests("theirs")
    guarded = "create function f() returns event_trigger language plpgsql as 'begin end'"
    old.sql("create database guarded")
    old.sql(guarded, "create event trigger e on sql_drop execute function f()", database="guarded")
    try:
        with dumps() as made:
            made.dump(old.conninfo)
            with pytest.raises(SourceRefused) as caught:
                made.load(SimpleNamespace(conninfo=conninfo), {"guarded": "guarded"})
    finally:
        old.sql("drop database guarded")
    assert caught.value.hint.endswith("load it as a superuser.")
    drop_all(new, roles)


def test_a_role_that_a_policy_names_is_asked_for_by_its_name(old, new):
    old.sql("create database policed")
    old.sql("create table t (a int)", "create policy p on t to clerk using (true)",
            database="policed")  # fmt: skip
    try:
        with dumps() as made:
            made.dump(old.conninfo)
            with pytest.raises(TargetRefused, match="clerk") as caught:
                made.load(new, {"policed": "policed"})
    finally:
        old.sql("drop database policed")
    assert caught.value.hint.startswith("The server lacks the roles Own er, clerk: make them")
    drop_all(new)


def settings(server, database):
    """Of a database, and of roles in it: as the catalogue holds them."""
    query = """
    select coalesce(r.rolname, ''), unnest(s.setconfig) from pg_db_role_setting s
    join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole
    where d.datname = %s order by 1, 2
    """
    with server.connect() as connection:
        return connection.execute(query, [database]).fetchall()


def test_settings_of_a_database_and_of_roles_in_it_come_along(old, new):
    old.sql(
        """alter database orders set search_path = '$user', 'Odd, "schema"', public""",
        "alter database orders set work_mem = '7MB'",
        "alter database orders set default_transaction_read_only = on",
        """alter database orders set "our.thing" = 'a, "b" it''s'""",
        "alter database orders set temp_tablespaces = ''",
        "alter role clerk in database orders set statement_timeout = '5s'",
        "alter role \"Own er\" in database orders set search_path = ''",
    )
    try:
        with dumps() as made:
            made.dump(old.conninfo)
            expected = settings(old, "orders")
            done = made.load(new, {"orders": "orders then"}, roles=True)
            assert settings(new, "orders then") == expected
            assert len(expected) == 7
            assert not done.warnings
            drop_all(new)
            old.sql("alter database orders set force_parallel_mode = off")  # not since 16
            made.dump(old.conninfo)
            done = made.load(new, {"orders": "orders"})
    finally:
        old.sql("alter database orders reset all", "alter role clerk in database orders reset all",
                'alter role "Own er" in database orders reset all')  # fmt: skip
    told = "\n".join(warning["message"] for warning in done.warnings)
    assert "force_parallel_mode" in told
    assert "statement_timeout of the role clerk: the role is missing" in told
    assert ("", "work_mem=7MB") in settings(new, "orders")
    drop_all(new)


BESIDE = """
select pg_get_userbyid(datdba), datconnlimit, datacl::text, shobj_description(oid, 'pg_database')
from pg_database where datname = %s
"""


def beside(server, database):
    """What a database is beside its content: whose, for how many, for whom, and its comment."""
    with server.connect() as connection:
        return connection.execute(BESIDE, [database]).fetchone()


def test_who_may_enter_a_database_and_its_comment_come_along(old, new):
    old.sql(
        'alter database orders owner to "Own er"',
        "revoke connect on database orders from public",
        "grant connect, temporary on database orders to clerk with grant option",
        'revoke create on database orders from "Own er"',
        "alter database orders connection limit 7",
        "comment on database orders is 'by the ''hour''\nloaded by strongroom, job of before'",
    )
    try:
        with dumps() as made:
            made.dump(old.conninfo)
            done = made.load(new, {"orders": "orders", "nothing": "nothing"}, roles=True)
        expected, given = beside(old, "orders"), beside(new, "orders")
    finally:
        old.sql(
            "comment on database orders is null",
            "alter database orders connection limit -1",
            "revoke all on database orders from clerk cascade",
            'grant all on database orders to "Own er"',
            "grant connect on database orders to public",
            "alter database orders owner to postgres",
        )
    assert not done.warnings
    assert given[:3] == expected[:3] == ("Own er", 7, given[2])
    assert given[2].startswith('{"=T/')
    assert given[3].split("\n")[0] == "by the 'hour'"
    assert re.fullmatch("loaded by strongroom, job [^ ]+", given[3].split("\n")[1])
    assert beside(new, "nothing")[2] is None
    drop_all(new)


def test_subscriptions_are_left_out_and_named(old):
    made = "create subscription {} connection 'dbname=no' publication p with (connect = false)"
    old.sql("create database taker")
    old.sql(
        made.format('"s 1"'),
        made.format('"S ""2"""'),
        'create role "some body" superuser',
        'alter subscription "s 1" owner to "some body"',
        database="taker",
    )
    try:
        with dumps() as dumped:
            dumped.dump(old.conninfo)
            done = dumped.load(old, {"taker": "taken"})
    finally:
        for name in ('"s 1"', '"S ""2"""'):
            old.sql(f"alter subscription {name} set (slot_name = none)", database="taker")
            old.sql(f"drop subscription {name}", database="taker")
        old.sql("drop database taker", "drop database taken", 'drop role "some body"')
    (told,) = done.warnings
    assert told["message"] == 'subscriptions of database taken were left out: S "2", s 1'


def test_a_filled_database_is_refused_and_stays_as_it_is(old):
    before = old.digests("orders")
    with dumps() as made:
        made.dump(old.conninfo)
        with pytest.raises(TargetNotEmpty, match="orders"):
            made.load(old, {"orders": "orders"})
    assert old.digests("orders") == before


def test_an_older_major_is_refused_as_a_target(old, new):
    with dumps() as made:
        made.dump(new.conninfo)
        with pytest.raises(TargetRefused, match="18 cannot be loaded into 14"):
            made.load(old)


def test_programs_that_are_missing_are_named_with_the_command_that_fetches_them(
    old, new, tmp_path, monkeypatch
):
    with dumps() as made:
        made.dump(old.conninfo)
        monkeypatch.setenv("STRONGROOM_PGTOOLS", str(tmp_path))
        with pytest.raises(ToolsMissing) as missing:
            made.dump(old.conninfo)
        assert missing.value.hint.endswith("strongroom pgtools install 14")
        with pytest.raises(ToolsMissing) as missing:
            made.load(new, {"orders": "orders"})
        assert missing.value.hint.endswith("strongroom pgtools install 18")
    assert new.sql("select count(*) from pg_database where datname = 'orders'") == [(0,)]


def test_a_load_that_fails_leaves_no_database_behind(old, new):
    """The extension is not there in the target: as on a server that lacks its files."""
    with dumps() as made:
        made.dump(old.conninfo)
        control = Path(new.tools.directory).parent / "share" / "extension" / "pg_trgm.control"
        found = control if control.exists() else next(
            Path(new.tools.directory).parent.rglob("pg_trgm.control"))  # fmt: skip
        aside = found.with_suffix(".aside")
        found.rename(aside)
        try:
            with pytest.raises(SourceRefused, match="pg_trgm"):
                made.load(new, {"orders": "orders"})
        finally:
            aside.rename(found)
    assert new.sql("select count(*) from pg_database where datname = 'orders'") == [(0,)]


def test_a_load_goes_on_where_it_was_killed(old, new):
    """One database was whole, of the next one there was a part."""
    with dumps() as made:
        made.dump(old.conninfo)
        made.load(new, {"it's": "first"})
        job = f"load-{made.manifests[-1].facts.recovery_point_id}"
        new.sql("create table since (n int)", database="first")
        new.sql(f'create database "strongroom_loading_{job}"')
        new.sql(*FILL[1:3], database=f"strongroom_loading_{job}")
        done = made.load(new, {"it's": "first", "orders": "second"})
        assert sorted(done.databases) == ["first", "second"]
    assert new.digests("second") == old.digests("orders")
    assert "public.since" in new.digests("first"), "what was whole is left as it is"
    names = "select datname from pg_database where datname !~ '^(postgres|template.)$' order by 1"
    assert new.sql(names) == [("first",), ("second",)]
    drop_all(new)


def test_a_database_that_others_use_while_it_is_loaded_gets_no_name_and_is_dropped(
    old, new, monkeypatch
):
    monkeypatch.setattr(new_database, "_ATTEMPTS", 1)
    with dumps() as made, contextlib.ExitStack() as watchers:
        made.dump(old.conninfo)
        job = f"load-{made.manifests[-1].facts.recovery_point_id}"

        def restored(*words, **options):
            watchers.enter_context(new.connect(f"strongroom_loading_{job}"))
            return program(*words, **options)

        program = load.restore_database
        monkeypatch.setattr(load, "restore_database", restored)
        with pytest.raises(TargetRefused, match="cannot get its name"):
            made.load(new, {"it's": "used"})
    assert new.sql("select 1 from pg_database where datname ~ 'used|strongroom'") == []


def dumping(pid_of_server_side: str = "pg_dump"):
    """Pids of the pg_dump processes that are children of ours."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except OSError:
            continue
        name, fields = text[text.index("(") + 1 : text.rindex(")")], text.rpartition(") ")[2]
        if name == pid_of_server_side and int(fields.split()[1]) == os.getpid():
            found.append(int(status.parent.name))
    return found


def in_midway(server, made, then):
    """`then(pids)` while a dump waits for a lock that is held here."""
    held = made.lease(made.order())
    raised = []

    def run():
        try:
            made.dump(server.conninfo, held)
        except VaultError as error:
            raised.append(error)

    with server.connect("orders") as blocker, blocker.transaction():
        blocker.execute("lock table plain in access exclusive mode")
        thread = threading.Thread(target=run)
        thread.start()
        waits = "select count(*) from pg_locks where not granted"
        while server.sql(waits) == [(0,)]:
            assert thread.is_alive(), raised
        then(held, dumping())
        thread.join(60)
    assert not thread.is_alive()
    assert not dumping()
    return raised[0]


def test_as_many_databases_are_dumped_side_by_side_as_there_are_lanes(old):
    """Each of three waits for a lock that is held here: with fewer lanes one would not come."""
    names = [*ODD[:2], "postgres"]
    old.sql("create table plain (n int)", database="postgres")
    waits = "select count(*) from pg_locks where not granted"
    try:
        with dumps() as made, contextlib.ExitStack() as held:
            for name in names:
                blocker = held.enter_context(old.connect(name))
                held.enter_context(blocker.transaction())
                blocker.execute("lock table plain in access exclusive mode")
            share = replace(WHOLE, lanes=3)
            thread = threading.Thread(
                target=made.dump, args=(old.conninfo,), kwargs={"share": share}
            )
            thread.start()
            while old.sql(waits) != [(3,)]:
                assert thread.is_alive()
            held.close()
            thread.join(60)
            assert not thread.is_alive()
            assert len(made.manifests) == 1
    finally:
        old.sql("drop table plain", database="postgres")


def test_what_goes_while_it_is_dumped_is_told_and_what_nobody_can_enter_is_left_out(old):
    """One lane waits for a lock that is held here: what is next is dropped meanwhile."""
    limits = "update pg_database set datconnlimit = {} where datname = 'half'"
    old.sql("create database half", "create database soon", limits.format(-2))
    old.sql("create role plain login", "grant pg_read_all_data to plain")
    old.sql("create subscription s connection 'dbname=no' publication p with (connect = false)",
            database="orders")  # fmt: skip
    for name in ODD[:2]:
        old.sql("grant select on large object 4711 to plain", database=name)
    try:
        with dumps() as made:
            given = {"share": replace(WHOLE, lanes=1)}
            text = old.conninfo.replace("user=postgres", "user=plain")
            told: list[str] = []

            def dump() -> None:
                told.extend(each["message"] for each in made.dump(text, **given).warnings)

            thread = threading.Thread(target=dump)
            with old.connect("orders") as blocker, blocker.transaction():
                blocker.execute("lock table plain in access exclusive mode")
                thread.start()
                while old.sql("select count(*) from pg_locks where not granted") != [(1,)]:
                    assert thread.is_alive()
                old.sql("drop database soon")
            thread.join(60)
            assert [message.rpartition(": ")[2] for message in told[:2]] == ["half", "soon"]
            assert "orders.dump: pg_dump: warning: subscriptions not dumped" in told[2]
            files = {file.path for file in made.manifests[-1].files}
            assert "orders.dump" in files
            assert not {"half.dump", "soon.dump"} & files
    finally:
        old.sql("alter subscription s set (slot_name = none)", "drop subscription s",
                database="orders")  # fmt: skip
        old.sql(limits.format(-1), "drop database half", "drop database if exists soon")
        for name in ODD[:2]:
            old.sql("drop owned by plain", database=name)
        old.sql("drop role plain")


def test_a_killed_pg_dump_fails_loudly_and_leaves_no_delta(old):
    with dumps() as made:
        error = in_midway(
            old, made, lambda _, pids: [os.kill(pid, signal.SIGKILL) for pid in pids]
        )
        assert isinstance(error, SourceStopped)
        assert "signal 9" in error.message
        assert not [name for name in made.blobs.objects if name.startswith("d/")]


def test_a_cancelled_dump_ends_its_programs(old):
    with dumps() as made:
        error = in_midway(
            old, made, lambda held, _: held.stop(Cancelled("the operation was cancelled"))
        )
        assert error is not None
        assert not [name for name in made.blobs.objects if name.startswith("d/")]


def test_a_wrong_password_is_named_and_a_right_one_is_in_no_argument(old):
    old.replace_hba("host all all 127.0.0.1/32 scram-sha-256")
    old.sql("create role reader superuser login password 'it: is \\ hidden'")
    good = old.tcp + " user=reader password='it: is \\\\ hidden'"
    try:
        with dumps() as made:
            assert made.dump(good).raw_bytes > 0
            with pytest.raises(SourceRefused, match="password"):
                made.dump(old.tcp + " user=reader password=wrong")
    finally:
        old.sql("drop role reader")


def test_a_password_for_programs_lies_on_no_disk(old, tmp_path, monkeypatch):
    """Whatever ends the agent, nothing of it is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old.replace_hba("host all all 127.0.0.1/32 scram-sha-256")
    old.sql("create role reader login password 'hidden'")
    try:
        with client_of(Conninfo.parse(old.tcp + " user=reader password=hidden")) as client:
            assert "hidden" not in f"{client}{client.target('postgres')}"
            assert list(tmp_path.iterdir()) == []
            read = ["cat", client.conninfo.get("passfile")]
            with Program(read, client, "cat") as program:
                assert list(program.pieces(99)) == [b"*:*:*:*:hidden\n"]
    finally:
        old.sql("drop role reader")


def test_a_role_that_may_not_read_a_table_is_told_which(old):
    old.sql("create role weak login")
    try:
        with dumps() as made, pytest.raises(SourceRefused, match="permission denied"):
            made.dump(old.conninfo.replace("user=postgres", "user=weak"))
        old.sql("grant pg_read_all_data to weak", "create table hidden (n int)")
        old.sql("alter table hidden enable row level security")
        for name in ODD[:2]:
            old.sql("grant select on large object 4711 to weak", database=name)
        with dumps() as made, pytest.raises(SourceRefused, match="row-level") as refused:
            made.dump(old.conninfo.replace("user=postgres", "user=weak"))
        assert "BYPASSRLS" in refused.value.hint
        assert '"hidden"' in refused.value.message
    finally:
        old.sql("drop table if exists hidden")
        for name in ODD[:2]:
            old.sql("drop owned by weak", database=name)
        old.sql("drop role weak")
