"""P9 at its full size: on every major version healthy points pass, and spoiled ones never do."""

import random
from pathlib import Path

import pytest

from campaign.seed import SEED
from drills import drills, true
from increments import a_chain
from integration.servers import ALL_MAJORS, Server, start_server
from logical import dumps

pytestmark = [pytest.mark.postgres, pytest.mark.P9]
PAGE, HEADER = 8192, 24
SPOILED = 5  # of each major, each in another place


def fill(server: Server) -> None:
    server.sql(
        "create table t as select g, md5(g::text) from generate_series(1, 20000) g",
        "create index by_md5 on t (md5)",
        "checkpoint",
    )


def spoil(server: Server, pages: list[int]) -> None:
    """A bit of the first line pointer of each page: no row begins there."""
    path = server.data_directory / server.sql("select pg_relation_filepath('t')")[0][0]
    server.stop()
    data = bytearray(Path(path).read_bytes())
    for page in pages:
        data[page * PAGE + HEADER] ^= 1
    Path(path).write_bytes(data)
    server.start()


def unchecked(major: int) -> tuple[str, ...]:
    """initdb's options: with checksums a backup would have warned of it."""
    return ("--no-data-checksums",) if major >= 18 else ()


@pytest.mark.parametrize("major", ALL_MAJORS)
def test_healthy_points_of_every_kind_pass(major: int) -> None:
    asked = true("select count(*) >= 20000 from t")
    with start_server(major) as server, a_chain(server) as chain, drills() as ground:
        fill(server)
        chain.back_up()
        server.sql("insert into t select g, md5(g::text) from generate_series(1, 2000) g")
        assert chain.back_up().kind == "Incremental"
        for number in (0, 1):
            assert ground.of_chain(chain, number, asked).problems == []
        with dumps() as dumped:
            dumped.dump(server.conninfo)
            assert ground.of_dump(dumped, asked).problems == []


@pytest.mark.parametrize("major", ALL_MAJORS)
def test_spoiled_points_never_pass(major: int) -> None:
    chance = random.Random(SEED + major)
    with start_server(major, options=unchecked(major)) as server, drills() as ground:
        fill(server)
        pages = server.sql("select pg_relation_size('t') / 8192")[0][0]
        for page in chance.sample(range(pages), SPOILED):
            spoil(server, [page])
            with a_chain(server) as found:
                found.back_up()
                told = ground.of_chain(found, 0)
            assert told.verdict == "Failed", f"page {page} of {pages}"
            assert f"table public.t: block {page}" in " ".join(told.problems)
            spoil(server, [page])  # and back
        with a_chain(server) as found:
            found.back_up()
            assert ground.of_chain(found, 0).verdict == "Passed"
