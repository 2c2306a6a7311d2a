"""One table, or one database, out of a physical recovery point that was taken under load."""

import contextlib
import json
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent_story import Story, a_story, an_open_directory
from guide import follow
from integration.servers import Server, own, start_server, tools_of
from ports import free_port
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.scratch.part import SCRATCH, remove_scratch
from strongroom.postgres.server import scratch

pytestmark = pytest.mark.postgres
NOISE = 24


@pytest.fixture(scope="module", params=[15, 18])
def source(request) -> Iterator[Server]:
    """Without checksums, so that VACUUM logs changes of pages that it does not log whole."""
    options = ("--no-data-checksums",) if request.param >= 18 else ()
    with start_server(request.param, options=options, wal_level="replica") as server:
        server.sql("create database shop", "create database other", "create database follower")
        server.sql(
            'create database "od\nd"',
            "create database raw encoding sql_ascii template template0 "
            "lc_collate 'C' lc_ctype 'C'",
        )
        server.sql("create table bytes as select E'caf\\351' as latin", database="raw")
        server.sql("create role clerk", "create table t as select 1 as one", database="other")
        server.sql(
            'create role "keeper of it"',
            'create database guarded owner "keeper of it" connection limit 3',
            "revoke all on database guarded from public",
            "grant connect on database guarded to clerk",
            "alter database guarded set search_path = odd, 'n,m'",
            "comment on database guarded is 'mind the step'",
        )
        server.sql(
            "create subscription follows connection 'host=/nowhere' publication p "
            "with (connect = false, slot_name = none)",
            database="follower",
        )
        server.sql(
            "create schema sales",
            'create table sales."Item.s" (id serial primary key, name text, note text)',
            'insert into sales."Item.s" (name, note) select md5(n::text), '
            "(select string_agg(md5((n * m)::text), '') from generate_series(1, 20) m) "
            "from generate_series(1, 4000) n",
            'create index "by name" on sales."Item.s" (name)',
            "create table big as select n, (select string_agg(md5((n * m)::text), '') "
            "from generate_series(1, 15) m) as filler from generate_series(1, 60000) n",
            "create table part (id int, what text) partition by range (id)",
            "create table part_a partition of part for values from (0) to (5000)",
            "create table part_b partition of part for values from (5000) to (10000)",
            "insert into part select n, md5(n::text) from generate_series(0, 9999) n",
            "create index on part (what)",
            "create statistics pair on id, what from part",
            "create table counted (id int)",
            "create table inh (n int)",
            "create table inh_c () inherits (inh)",
            "insert into inh_c select generate_series(1, 100)",
            "create unlogged table unlogged (n int)",
            database="shop",
        )
        for number in range(NOISE):
            server.sql(
                f"create table noise{number} with (autovacuum_enabled = off) as "
                "select n, repeat('x', 300) as filler from generate_series(1, 1000) n",
                database="shop",
            )
        yield server


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with an_open_directory() as root:
        own(root)
        yield root


@pytest.fixture(scope="module")
def story(root, source) -> Iterator[Story]:
    with an_open_directory() as data, a_story(data / "agent") as story:
        story.book.add("orders", source.conninfo)
        story.start()
        story.world.await_that(lambda: "orders" in story.world.servers)
        with _busy(source):
            operation = story.back_up()
        assert operation.failure is None, operation.failure
        story.commit(operation)
        yield story


@contextlib.contextmanager
def _busy(server: Server) -> Iterator[None]:
    """VACUUM of what nobody touched, changes of what was, while the backup reads."""
    done = threading.Event()

    def work() -> None:
        with server.connect("shop") as connection:
            number = 0
            while not done.is_set():
                if number < NOISE:
                    connection.execute(f"vacuum noise{number}")
                connection.execute("insert into counted select generate_series(1, 50)")
                connection.execute("update big set filler = filler || 'y' where n % 997 = 3")
                number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _load(source: Server, dump: Path, database: str, *words: str) -> None:
    program = str(source.tools.program("pg_restore"))
    where = ["-h", str(source.home), "-p", str(source.port), "-U", "postgres", "-d", database]
    done = subprocess.run(
        [program, *words, *where, str(dump)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_one_table_is_dumped_and_little_else_is_fetched(story, source, root):
    target = root / f"one-{source.tools.major}"
    order = story.extract_order(
        "one", database="shop", table='sales."Item.s"', target_directory=str(target)
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    result = operation.result.restore
    assert _names(target) == [
        "RESTORE.md",
        "SHA256SUMS",
        "manifest.json",
        "shop.sales.Item.s.dump",
    ]
    stored = sum(size for _, size in story.blobs.list("g/"))
    assert result.fetched_bytes < 0.5 * stored
    source.sql("create database loaded_one")
    source.sql("create schema sales", database="loaded_one")
    _load(source, target / "shop.sales.Item.s.dump", "loaded_one")
    loaded = source.digests("loaded_one")
    assert loaded == {'sales."Item.s"': source.digests("shop")['sales."Item.s"']}
    told = json.loads((target / "manifest.json").read_bytes())
    assert told["files"][0]["holds"] == "table sales.Item.s of shop"


def test_a_partitioned_table_comes_with_its_parts(story, source, root):
    target = root / f"parts-{source.tools.major}"
    order = story.extract_order(
        "parts", database="shop", table="part", target_directory=str(target)
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    source.sql("create database loaded_parts")
    _load(source, target / "shop.public.part.dump", "loaded_parts")
    want = source.digests("shop")
    names = ("public.part", "public.part_a", "public.part_b")
    assert source.digests("loaded_parts") == {name: want[name] for name in names}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("part_b", "a partition of `public.part`"),
        ("inh_c", "inherits from `public.inh`"),
        ("big", ""),
    ],
)
def test_the_guide_of_a_part_names_what_it_is_a_part_of(story, source, root, table, told):
    target = root / f"part-{table}-{source.tools.major}"
    order = story.extract_order(
        f"part-{table}", database="shop", table=table, target_directory=str(target)
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    guide = (target / "RESTORE.md").read_text()
    assert told in guide
    assert ("a partition" in guide or "inherits" in guide) == bool(told)


def test_a_table_is_renamed_on_its_way(story, source, root):
    target = root / f"renamed-{source.tools.major}"
    order = story.extract_order(
        "renamed",
        database="shop",
        table='sales."Item.s"',
        rename="sales.item_then",
        target_directory=str(target),
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    _load(source, target / "shop.sales.item_then.dump", "shop")
    found = source.digests("shop")
    source.sql("drop table sales.item_then", database="shop")
    assert found["sales.item_then"] == found['sales."Item.s"']


def test_a_database_is_dumped_under_a_new_name_with_what_was_written_as_it_was_backed_up(
    story, source, root
):
    target = root / f"whole-{source.tools.major}"
    order = story.extract_order(
        "whole", database="shop", rename="shop_then", target_directory=str(target)
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    (warning,) = operation.result.restore.warnings
    assert "public.unlogged is unlogged" in warning["message"]
    _load(source, target / "shop_then.dump", "postgres", "--create")
    was, now = source.digests("shop_then"), source.digests("shop")
    assert set(was) == set(now)
    unchanged = [name for name in now if name not in {"public.big", "public.counted"}]
    assert {name: was[name] for name in unchanged} == {name: now[name] for name in unchanged}
    assert was["public.big"][0] == now["public.big"][0]
    assert 0 < was["public.counted"][0] <= now["public.counted"][0]


def test_a_table_that_is_not_there_is_told_with_those_that_are(story, source, root):
    target = root / f"none-{source.tools.major}"
    order = story.extract_order(
        "none", database="shop", table='"Item.s"', target_directory=str(target)
    )
    failure = story.restore(order).failure
    assert failure is not None
    assert failure.error["kind"] == "NotFound"
    assert "sales.Item.s" in failure.error["hint"]
    assert not target.exists(), "whoever spells it right goes there"
    target.mkdir()
    order = msgspec.structs.replace(order, job_id="catalogue", table="pg_catalog.pg_class")
    assert story.restore(order).failure.error["kind"] == "NotFound"
    assert _names(target) == []


def test_all_as_files_are_restored_by_following_their_guide(story, source, root):
    target = root / f"files-{source.tools.major}"
    order = story.extract_order("files", target_directory=str(target), file_prefix="monday")
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    assert {
        "monday_database_follower.sql",
        "monday_database_guarded.sql",
        "monday_database_od%0Ad.sql",
        "monday_database_other.sql",
        "monday_database_postgres.sql",
        "monday_database_raw.sql",
        "monday_database_shop.sql",
        "monday_roles.sql",
        "monday_schema.sql",
        "monday_tablespaces.sql",
        "monday_RESTORE.md",
        "monday_SHA256SUMS",
        "monday_manifest.json",
    } == set(_names(target))
    assert (target / "monday_database_shop.sql").read_bytes()[:5] == b"PGDMP"
    roles = (target / "monday_roles.sql").read_text()
    assert "CREATE ROLE clerk;" in roles
    assert not {"SUPERUSER", "NOBYPASSRLS", "SCRAM-SHA-256"} & set(roles.replace(";", " ").split())
    with start_server(source.tools.major) as fresh:
        follow(target / "monday_RESTORE.md", fresh)
        was, now = fresh.digests("shop"), source.digests("shop")
        assert set(was) == set(now)
        assert was['sales."Item.s"'] == now['sales."Item.s"']
        assert fresh.digests("other") == source.digests("other")
        raw = "select md5(latin) from bytes"  # bytes that are no UTF-8
        assert fresh.sql(raw, database="raw") == source.sql(raw, database="raw")
        assert fresh.sql("select 1 from pg_roles where rolname = 'clerk'") == [(1,)]
        enabled = "select subname, subenabled from pg_subscription"
        assert fresh.sql(enabled) == [("follows", False)]


def test_who_asks_twice_is_told_what_was_done_and_nothing_is_fetched_again(story, source, root):
    target = root / f"twice-{source.tools.major}"
    order = story.extract_order("twice", database="other", table="t", target_directory=str(target))
    first = story.restore(order)
    assert first.failure is None, first.failure
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    second = story.restore(order)
    assert second.failure is None, second.failure
    assert second.result.restore == first.result.restore
    assert before == {path.name: path.stat().st_mtime_ns for path in target.iterdir()}


def test_a_filled_directory_is_left_alone(story, source, root):
    target = root / f"filled-{source.tools.major}"
    target.mkdir()
    (target / "mine").write_text("mine")
    order = story.extract_order(
        "filled", database="other", table="t", target_directory=str(target)
    )
    failure = story.restore(order).failure
    assert failure is not None
    assert failure.error["kind"] == "TargetNotEmpty"
    assert _names(target) == ["mine"]


def test_a_database_is_loaded_into_a_server_under_a_new_name(story, source):
    order = story.extract_order(
        "loaded", database="other", rename="other_then", target_server="orders"
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    assert operation.result.restore.warnings == []
    assert source.digests("other_then") == source.digests("other")


BESIDE = """
select pg_get_userbyid(datdba), datconnlimit, array(select unnest(datacl)::text order by 1)::text,
       (select array_agg(setconfig::text) from pg_db_role_setting where setdatabase = d.oid),
       split_part(shobj_description(oid, 'pg_database'), E'\n', 1)
from pg_database d where datname = '{}'
"""


def test_whose_a_database_was_and_who_may_enter_it_come_along(story, source):
    order = story.extract_order(
        "guarded", database="guarded", rename="guarded_then", target_server="orders"
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    assert operation.result.restore.warnings == []
    (was,), (found,) = (source.sql(BESIDE.format(n)) for n in ("guarded", "guarded_then"))
    assert found == was
    assert (was[0], was[1], was[4]) == ("keeper of it", 3, "mind the step")
    assert "=Tc/" not in was[2]


def test_subscriptions_are_not_loaded_and_told(story, source):
    order = story.extract_order(
        "follower", database="follower", rename="follower_then", target_server="orders"
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    (told,) = operation.result.restore.warnings
    assert told["message"] == "subscriptions of database follower were left out: follows"
    assert source.sql("select count(*) from pg_subscription") == [(1,)]


def test_an_empty_database_that_somebody_made_is_filled_where_it_is(story, source):
    source.sql("create database prepared", "comment on database prepared is 'mine'")
    asked = {"database": "other", "rename": "prepared", "target_server": "orders"}
    operation = story.restore(story.extract_order("prepared", **asked))
    assert operation.failure is None, operation.failure
    assert source.digests("prepared") == source.digests("other")
    comment = "select shobj_description(oid, 'pg_database') from pg_database where datname = %s"
    with source.connect() as connection:
        assert connection.execute(comment, ("prepared",)).fetchone() == ("mine",)
    again = story.restore(story.extract_order("prepared-again", **asked))
    assert "not empty" in again.failure.error["message"]


def test_what_a_killed_load_left_is_taken_away_by_its_own_next_try_and_told_to_others(
    story, source
):
    """Until it is whole its name says whose it is, and nothing has the name that it is to get."""
    killed = story.extract_order(
        "killed", database="other", rename="half_then", target_server="orders"
    )
    left = f"strongroom_loading_{killed.job_id}"
    source.sql(f'create database "{left}"')
    another = story.extract_order(
        "another", database="other", rename="beside_then", target_server="orders"
    )
    operation = story.restore(another)
    assert operation.failure is None, operation.failure
    told = operation.result.restore.warnings
    assert [left in warning["message"] for warning in told] == [True]
    assert f'DROP DATABASE "{left}" WITH (FORCE);' in told[0]["hint"]
    operation = story.restore(killed)
    assert operation.failure is None, operation.failure
    assert operation.result.restore.warnings == []
    assert source.digests("half_then") == source.digests("other")
    assert source.sql(f"select 1 from pg_database where datname = '{left}'") == []


def test_a_load_that_was_killed_before_it_could_say_so_is_found_done(story, source):
    order = story.extract_order(
        "untold", database="other", rename="whole_then", target_server="orders"
    )
    assert story.restore(order).failure is None
    source.sql("create table since (n int)", database="whole_then")
    for note in (story.agent._settings.data / "restores").glob("*.json"):
        note.unlink()
    again = story.restore(order)
    assert again.failure is None, again.failure
    assert "public.since" in source.digests("whole_then"), "it is as it was"
    foreign = story.extract_order(
        "foreign", database="other", rename="whole_then", target_server="orders"
    )
    assert story.restore(foreign).failure.error["kind"] == "TargetNotEmpty"


def test_a_scratch_server_that_a_killed_agent_left_is_stopped_and_taken_away(root):
    journal = RestoreJournal(root / "killed" / "restores")
    (root / "killed").mkdir(mode=0o700)
    place, sockets = (own(Path(tempfile.mkdtemp(prefix=scratch.PREFIX))) for _ in range(2))
    killed = contextlib.ExitStack()  # it closes nothing before the end
    killed.enter_context(journal.noted(place))
    tools = tools_of(15)
    scratch.initialise(tools, place / SCRATCH / "data", "--no-sync")
    server = scratch.start(
        tools, place / SCRATCH / "data", port=free_port(), socket_directory=sockets
    )
    journal.take_away_left(remove_scratch)
    assert not place.exists()
    assert not sockets.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port)).close()
    journal.take_away_left(remove_scratch)
    assert list((root / "killed" / "restores").iterdir()) == []
    killed.close()


def test_a_table_is_loaded_beside_the_one_it_was(story, source):
    order = story.extract_order(
        "beside",
        database="shop",
        table='sales."Item.s"',
        rename="sales.item_before",
        target_server="orders",
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    found = source.digests("shop")
    assert found["sales.item_before"] == found['sales."Item.s"']
    source.sql("drop table sales.item_before", database="shop")


def test_a_partitioned_table_is_loaded_beside_the_one_it_was_in_any_schema(story, source):
    was = source.digests("shop")
    for new in ("public.part_then", "sales.part"):
        order = story.extract_order(
            new, database="shop", table="part", rename=new, target_server="orders"
        )
        operation = story.restore(order)
        assert operation.failure is None, operation.failure
        now = source.digests("shop")
        for end in ("", "_a", "_b"):
            assert now[f"{new}{end}"] == was[f"public.part{end}"]
        source.sql(f"drop table {new}", database="shop")
        assert source.digests("shop") == was


@pytest.mark.parametrize("table", ["part_b", "inh_c"])
def test_a_child_is_loaded_beside_itself_and_its_rows_are_in_no_parent_twice(story, source, table):
    was = source.digests("shop")
    order = story.extract_order(
        f"alone-{table}",
        database="shop",
        table=table,
        rename=f"{table}_then",
        target_server="orders",
    )
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    now = source.digests("shop")
    assert now.pop(f"public.{table}_then") == was[f"public.{table}"]
    assert now == was
    source.sql(f"drop table {table}_then", database="shop")


def test_a_table_that_has_no_rows_in_a_copy_is_told(story, source, root):
    target = root / f"unlogged-{source.tools.major}"
    order = story.extract_order(
        "unlogged", database="shop", table="unlogged", target_directory=str(target)
    )
    (warning,) = story.restore(order).result.restore.warnings
    assert "public.unlogged is unlogged" in warning["message"]


def test_a_part_that_stands_there_under_its_own_name_is_refused_and_stays(story, source):
    was = source.digests("shop")
    source.sql(
        "alter table part detach partition part_a",
        "drop table part",
        "create table part_then_a as select 1 as mine",
        database="shop",
    )
    asked = {"database": "shop", "table": "part", "target_server": "orders"}
    for rename, named in (("", "public.part_a"), ("part_then", "public.part_then_a")):
        order = story.extract_order(f"stays-{rename}", rename=rename, **asked)
        failure = story.restore(order).failure
        assert failure is not None
        assert failure.error["kind"] == "TargetNotEmpty"
        assert named in failure.error["message"]
    found = source.digests("shop")
    assert found["public.part_a"] == was["public.part_a"]
    assert found["public.part_then_a"][0] == 1
    source.sql("drop table part_a", "drop table part_then_a", database="shop")
    operation = story.restore(story.extract_order("back", **asked))
    assert operation.failure is None, operation.failure
    assert source.digests("shop") == was


def test_what_is_there_already_is_refused_before_anything_is_fetched(story, source):
    for number, more in enumerate(({}, {"table": 'sales."Item.s"'})):
        order = story.extract_order(
            f"there-{number}", database="shop", target_server="orders", **more
        )
        operation = story.restore(order)
        assert operation.failure is not None
        assert operation.failure.error["kind"] == "TargetNotEmpty"
        assert all(beat.stored_bytes == 0 for beat in operation.heartbeats)


def test_what_could_not_be_loaded_whole_is_taken_away(story, source):
    source.sql(
        "create table owner (id int primary key)",
        "create table owned (id int references owner)",
        "create type mood as enum ('well')",
        "create table moods (m mood)",
        database="shop",
    )
    operation = story.back_up(2)
    assert operation.failure is None, operation.failure
    story.commit(operation)
    source.sql(
        "drop table owned", "drop table owner", "drop table moods", "drop type mood",
        database="shop",
    )  # fmt: skip
    order = story.extract_order("half", 2, database="shop", table="owned", target_server="orders")
    failure = story.restore(order).failure
    assert failure is not None
    assert "owner" in failure.error["message"]
    assert failure.error["hint"].startswith(
        "A table comes without what it uses: make that in shop"
    )
    order = story.extract_order("moods", 2, database="shop", table="moods", target_server="orders")
    failure = story.restore(order).failure
    assert failure is not None
    assert "mood" in failure.error["message"]
    assert failure.error["hint"].startswith(
        "A table comes without what it uses: make that in shop"
    )
    assert "public.owned" not in source.digests("shop")
    order = story.extract_order(
        "nowhere",
        2,
        database="shop",
        table="owned",
        rename="aside.owned",
        target_server="orders",
    )
    assert story.restore(order).failure is not None
    assert source.sql("select from pg_namespace where nspname = 'aside'", database="shop") == []
