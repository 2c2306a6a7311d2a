"""A drill tells a point that restores from one that does not: never green for the one, nor red
for the other, whatever this host lacks.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from drills import Drills, drills, true
from increments import Chain, a_chain
from integration.servers import Server, open_directory, start_server
from strongroom.model.drill import DrillResult

pytestmark = [pytest.mark.postgres, pytest.mark.P9]
ROWS = 5000


@pytest.fixture(scope="module")
def space() -> Iterator[Path]:
    """Of the source: a drill must not touch it."""
    with open_directory() as place:
        yield place


@pytest.fixture(scope="module")
def server(space: Path) -> Iterator[Server]:
    with start_server(15) as found:
        found.sql(
            f"create tablespace far location '{space}'",
            "create extension citext",
            f"create table t as select g, md5(g::text) from generate_series(1, {ROWS}) g",
            "create index by_md5 on t (md5)",
            "create table elsewhere (id int primary key, word citext) tablespace far",
            "insert into elsewhere select g, g::text from generate_series(1, 100) g",
            "create index words on elsewhere (word)",
            "create database shop",
        )
        found.sql("create table sold as select 1 as one", database="shop")
        yield found


@pytest.fixture(scope="module")
def chain(server: Server) -> Iterator[Chain]:
    """A full point, and an increment on it."""
    with a_chain(server) as found:
        found.back_up()
        server.sql("update t set md5 = 'changed' where g % 1000 = 0", "checkpoint")
        assert found.back_up().kind == "Incremental"
        yield found


@pytest.fixture
def ground() -> Iterator[Drills]:
    with drills() as found:
        yield found


def rows_of(result: DrillResult) -> dict[tuple[str, str], int]:
    return {(each.database, each.table): each.rows for each in result.tables}


@pytest.mark.parametrize("number", [0, 1])
def test_a_healthy_point_passes_and_says_what_was_seen(
    chain: Chain, ground: Drills, space: Path, number: int
) -> None:
    before = sorted(space.rglob("*"))
    changed = ROWS // 1000 if number else 0
    told = ground.of_chain(
        chain, number, true(f"select count(*) = {changed} from t where md5 = 'changed'")
    )
    assert told.problems == []
    assert told.verdict == "Passed"
    assert told.warnings == []
    assert rows_of(told) == {
        ("postgres", "public.t"): ROWS,
        ("postgres", "public.elsewhere"): 100,
        ("shop", "public.sold"): 1,
    }
    assert (told.databases, told.rows) == (2, ROWS + 101)
    assert told.indexes > 100
    assert told.relations > 100
    assert [each.answer for each in told.answers] == ["true"]
    assert set(told.seconds) == {"restore", "recover", "check", "count", "ask"}
    assert told.ready_seconds > 0
    assert told.written_bytes > told.fetched_bytes > 0
    assert told.server_version.startswith("15.")
    assert sorted(space.rglob("*")) == before
