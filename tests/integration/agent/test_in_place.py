"""A real server goes back to a point in its own directory: little more than what differs moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_story import INSTANCE, Server, Story, a_server, a_story, an_open_directory, own
from strongroom.datastore.keys.session import SessionKeys, seal_session
from strongroom.model.errors import TargetError
from strongroom.postgres.restore.restore import MARKER
from strongroom.postgres.server import scratch

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with an_open_directory() as root:
        yield root


@pytest.fixture(scope="module")
def source(root) -> Iterator[Server]:
    space = root / "space"
    space.mkdir()
    own(space)
    with a_server(root, "--data-checksums") as server:
        server.run(f"create tablespace fast location '{space}'", "create database shop")
        server.run(
            "create extension amcheck",
            "create table item (id int primary key, name text, note text)",
            "insert into item select n, md5(n::text), md5(n::text || 'a') || md5(n::text || 'b') "
            "from generate_series(1, 200000) n",
            "create table priced (id int, price numeric) tablespace fast",
            "insert into priced select n, n * 1.5 from generate_series(1, 20000) n",
            "create table doomed as select n, md5(n::text) from generate_series(1, 20000) n",
            "create table empty (id int)",
            "create unlogged table draft (id int)",
            "create index on doomed (md5)",
            "vacuum analyze",
            database="shop",
        )
        yield server


@pytest.fixture(scope="module")
def story(root, source) -> Iterator[Story]:
    with a_story(root / "agent") as story:
        story.book.add("orders", source.conninfo)
        story.start()
        story.world.await_that(lambda: "orders" in story.world.servers)
        yield story


@pytest.fixture(scope="module")
def rows(story, source) -> dict[str, tuple[int, str]]:
    """What the tables held when the point was taken."""
    operation = story.back_up()
    assert operation.failure is None, operation.failure
    story.commit(operation)
    return source.digests("shop")


def start(server: Server) -> None:
    scratch.start(
        server.tools, server.directory, port=server.port, socket_directory=server.sockets
    )


def change(server: Server) -> None:
    """Some pages of a table, and tables that come and go."""
    server.run(
        "update item set note = reverse(note) where id between 40000 and 41000",
        "drop table doomed",
        "create table late as select n from generate_series(1, 50000) n",
        "create table late_fast tablespace fast as select n from generate_series(1, 500) n",
        "truncate priced",
        "insert into draft values (1)",
        database="shop",
    )
    server.run("create database another", "checkpoint")


def back_in_place(story: Story, server: Server, number: int = 1, **more):
    return story.restore(story.restore_order(server.directory, number, in_place=True, **more))


def check_indexes(server: Server) -> None:
    server.run(
        "select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam "
        "where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p'",
        database="shop",
    )


def test_a_server_that_runs_is_refused_and_left_alone(story, source, rows):
    operation = back_in_place(story, source)
    assert operation.failure.error["kind"] == "Precondition"
    assert "Stop it first: pg_ctl" in operation.failure.error["hint"]
    assert source.digests("shop") == rows


def test_the_server_is_as_it_was_and_little_was_fetched_and_written(story, source, rows):
    change(source)
    source.stop()
    notes = source.directory / "notes.txt"
    notes.write_text("mine")
    operation = back_in_place(story, source)
    assert operation.failure is None, operation.failure
    result, delta = operation.result.restore, story.delta_of(story.world.operations["op-1"])
    assert result.fetched_bytes < 0.2 * sum(pack.size for pack in delta.packs)
    assert result.written_bytes < 0.1 * sum(file.size for file in delta.files)
    assert notes.read_text() == "mine"
    assert not (source.directory / MARKER).exists()
    start(source)
    assert source.digests("shop") == rows
    check_indexes(source)


def test_without_a_key_of_a_pack_nothing_is_touched(story, source, rows):
    change(source)
    source.stop()
    honest = story.world.release_keys

    def no_key_of_a_pack(operation_id, session_public_key):
        keys = SessionKeys(manifest=story.manifest_key(1), packs={})
        return seal_session(keys, session_public_key, operation_id)

    story.world.release_keys = no_key_of_a_pack
    refused = back_in_place(story, source)
    story.world.release_keys = honest
    assert refused.failure.error["kind"] == "WrongKey"
    start(source)
    assert source.digests("shop")["public.late"][0] == 50000
    source.stop()


def test_a_restore_in_place_that_broke_off_keeps_the_server_down_until_one_ends(
    story, source, rows
):
    delta = story.delta_of(story.world.operations["op-1"])
    packs = [story.store.file(INSTANCE, pack.name) for pack in delta.packs]
    whole = [pack.read_bytes() for pack in packs]
    for pack, stored in zip(packs, whole, strict=True):
        pack.chmod(0o600)
        frames = max(0, len(stored) - 1211 - 40_000)  # what follows is read to compare with
        pack.write_bytes(stored[:1211] + bytes(frames) + stored[1211 + frames :])
    broken = back_in_place(story, source)
    for pack, stored in zip(packs, whole, strict=True):
        pack.write_bytes(stored)
    assert broken.failure.error["kind"] == "Corrupt"
    assert "the next restore with --in-place" in broken.failure.error["hint"]
    with pytest.raises(TargetError, match="could not find the database system"):
        start(source)
    into_new = story.restore(story.restore_order(source.directory))
    assert "holds a restore in place that did not end" in into_new.failure.error["message"]
    operation = back_in_place(story, source)
    assert operation.failure is None, operation.failure
    assert operation.result.restore.fetched_bytes < 0.2 * sum(pack.size for pack in delta.packs)
    start(source)
    assert source.digests("shop") == rows
    check_indexes(source)


def test_another_servers_directory_is_refused_and_left_alone(story, source, rows, root):
    other = root / "other"
    (other / "global").mkdir(parents=True)
    (other / "global" / "pg_control").write_bytes(bytes(8192))
    before = {p: p.stat().st_mtime_ns for p in other.rglob("*")}
    operation = story.restore(story.restore_order(other, in_place=True))
    assert operation.failure.error["kind"] == "TargetRefused"
    assert "belongs to another server" in operation.failure.error["message"]
    assert {p: p.stat().st_mtime_ns for p in other.rglob("*")} == before


def test_a_row_that_was_committed_after_the_point_does_not_shine_through(root):
    """Without page checksums a hint bit of a later commit leaves the page's version as it was."""
    with an_open_directory() as place, a_server(place) as server, a_story(place / "a") as story:
        story.book.add("orders", server.conninfo)
        story.start()
        story.world.await_that(lambda: "orders" in story.world.servers)
        server.run("create table t (n int)")
        with server.connect() as late:
            late.execute("begin")
            late.execute("insert into t values (1)")
            story.commit(story.back_up())
            late.execute("commit")
            assert late.execute("select count(*) from t").fetchone() == (1,)
        server.stop()
        operation = back_in_place(story, server)
        assert operation.failure is None, operation.failure
        start(server)
        assert server.digests("postgres")["public.t"][0] == 0
