"""Servers whose settings make of sessions what few expect: dumps and loads are what they are."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_story import Story, a_story, an_open_directory
from integration.servers import Server, start_server
from logical import dumps
from strongroom.model.errors import SourceRefused, TargetRefused
from strongroom.postgres.dump.money import reading_money
from strongroom.postgres.server.client import Program, client_of

pytestmark = pytest.mark.postgres
# What a dump or a load by PostgreSQL's own programs stumbles over; POSIX is the locale C, and
# stands for one that writes money otherwise: a host needs to have none.
ODD: dict[str, Any] = {
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "client_encoding": "LATIN1",
    "array_nulls": "off",
    "idle_session_timeout": "2s",
    "statement_timeout": "20s",
    "lc_monetary": "POSIX",
}
USUAL = ("set default_transaction_read_only to off", "set client_encoding to 'UTF8'")
NAME = "spaß 日本"
FILL = (
    "set array_nulls to on",
    # Computed anew when rows are loaded: it tells what the session was told.
    "create function how() returns text language sql immutable as "
    "$$ select pg_catalog.current_setting('lc_monetary') $$",
    "create table t (id int primary key, price money, words text[], "
    "told text generated always as (how()) stored)",
    "insert into t (id, price, words) values (1, '12.50', '{日本,NULL}'), (2, null, '{}')",
)
ROWS = "select id, price::numeric, words, told from t order by id"
THERE = [(1, "12.50", ["日本", None]), (2, "None", [])]


@pytest.fixture(scope="module", params=[15, 18])
def server(request) -> Iterator[Server]:
    with start_server(request.param, **ODD) as server:
        server.sql(*USUAL, f'create database "{NAME}"')
        server.sql(*USUAL, *FILL, database=NAME)
        yield server


def rows(server: Server, database: str, told: str) -> None:
    """They are what they were, and were read by a session that was told how money is written."""
    found = server.sql(*USUAL, ROWS, database=database)
    assert [(number, str(price), words) for number, price, words, _ in found] == THERE
    assert {each[-1] for each in found} == {told}


def test_a_dump_is_loaded_into_a_server_of_another_locale(server: Server) -> None:
    with dumps() as story, start_server(18, **ODD | {"lc_monetary": "C"}) as other:
        assert story.dump(server.conninfo).warnings == []
        assert story.load(other, {NAME: "again"}).warnings == []
        rows(other, "again", "POSIX")
        assert other.sql("show default_transaction_read_only") == [("on",)]


def test_a_dump_is_loaded_beside_its_database(server: Server) -> None:
    with dumps() as story:
        story.dump(server.conninfo)
        story.load(server, {NAME: "beside"})
        rows(server, "beside", "POSIX")


@pytest.fixture(scope="module")
def story(server: Server) -> Iterator[Story]:
    with an_open_directory() as data, a_story(data / "agent") as story:
        story.book.add("orders", server.conninfo)
        story.start()
        story.world.await_that(lambda: "orders" in story.world.servers)
        operation = story.back_up()
        assert operation.failure is None, operation.failure
        story.commit(operation)
        yield story


def test_a_database_out_of_a_physical_point_is_read_as_it_was_written(
    story: Story, server: Server
) -> None:
    """A scratch server writes money as C has it, wherever it came from."""
    order = story.extract_order("out", database=NAME, rename="out", target_server="orders")
    operation = story.restore(order)
    assert operation.failure is None, operation.failure
    assert operation.result is not None
    assert operation.result.restore is not None
    assert operation.result.restore.warnings == []
    rows(server, "out", "C")


def test_amounts_that_the_server_cannot_read_are_refused(server: Server, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    there = server.parsed(dbname=NAME)
    with client_of(there) as client:
        words = [str(server.tools.program("pg_dump")), "-Fc", "-f", str(dump)]
        words += ["-E", "UTF8", "-d", client.target(NAME)]
        with Program(words, client, "a dump") as program:
            program.run()
        with pytest.raises(TargetRefused, match=r"as the locale xx_XX\.UTF-8 has them"):
            reading_money(client, there, server.tools, dump, "xx_XX.UTF-8")


def test_a_program_that_fails_says_why_before_it_says_at_what(server: Server) -> None:
    """pg_dump repeats its statement of two thousand characters behind the reason."""
    with client_of(server.parsed()) as client:
        words = [str(server.tools.program("pg_dump")), "-d", client.target(NAME)]
        with (
            Program([*words, "-f", os.devnull], client, "a dump") as program,
            pytest.raises(SourceRefused, match='has no equivalent in encoding "LATIN1"'),
        ):
            program.run()
