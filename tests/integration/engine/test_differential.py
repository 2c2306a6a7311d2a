"""P5: an increment is the truth: byte for byte what others make of the same server."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from combined import RawBackups
from increments import Chain, a_chain
from integration.servers import Server, open_directory, own, some, start_server
from trees import differences, masked

pytestmark = [pytest.mark.postgres, pytest.mark.P5]


def fill(server: Server, space: Path) -> None:
    server.sql(
        f"create tablespace fast location '{space}'",
        "create table grown as select n, md5(n::text) from generate_series(1, 9000) n",
        "create index on grown (md5)",
        "create table shrunk as select n, md5(n::text) from generate_series(1, 20000) n",
        "create table moved as select n from generate_series(1, 4000) n",
        "create table dropped as select n from generate_series(1, 500) n",
        "create table emptied as select n from generate_series(1, 500) n",
        "create unlogged table draft as select n from generate_series(1, 500) n",
        "create table priced tablespace fast as select n from generate_series(1, 4000) n",
    )


CHANGES: list[Callable[[Server], object]] = [
    lambda server: server.sql(
        "update grown set md5 = 'x' where n % 70 = 0",
        "delete from shrunk where n > 3000",
        "vacuum shrunk",
        "update priced set n = -n where n % 300 = 0",
    ),
    lambda server: server.sql(
        "vacuum full grown",
        "drop table dropped",
        "truncate emptied",
        "alter table moved set tablespace fast",
        "create table fresh as select n from generate_series(1, 4000) n",
    ),
    lambda server: server.sql("insert into shrunk select n, 'again' from generate_series(1, 9) n"),
    lambda server: server.sql(
        "insert into emptied values (1)",
        "drop table priced",
        "vacuum freeze",
        "create database other",
    ),
]


def restored(chain: Chain, number: int, place: Path, space: Path) -> Path:
    directory = place / f"ours-{number}"
    chain.restore(number, directory, {str(space): str(place / f"ours-{number}-space")})
    return directory


@pytest.mark.parametrize("major", some(17, of=(17, 18)))
def test_ours_is_what_pg_combinebackup_makes_of_the_same_increments(major, monkeypatch):
    with ExitStack() as stack:
        server = stack.enter_context(start_server(major, summarize_wal="on", autovacuum="off"))
        chain = stack.enter_context(a_chain(server))
        place = stack.enter_context(open_directory())
        space = place / "space"
        space.mkdir()
        fill(server, own(space))
        raw = RawBackups(place / "raw")
        raw.back_up(chain, monkeypatch)
        for change in CHANGES:
            change(server)
            raw.back_up(chain, monkeypatch)
        assert [told.kind for told in chain.results] == ["Full", *["Incremental"] * len(CHANGES)]
        assert not chain.manifests[-1].page_versions, "the server's summaries told what changed"
        for number in range(len(CHANGES) + 1):
            ours = restored(chain, number, place, space)
            assert differences(ours, raw.combined(chain, number)) == {}


@pytest.mark.parametrize("major", some(16, of=(14, 15, 16)))
def test_ours_is_what_a_full_read_of_the_same_moment_finds(major):
    """By page versions; nobody writes between the two, but readers leave hints."""
    with ExitStack() as stack:
        server = stack.enter_context(start_server(major, autovacuum="off"))
        chain = stack.enter_context(a_chain(server))
        place = stack.enter_context(open_directory())
        space = place / "space"
        space.mkdir()
        fill(server, own(space))
        chain.back_up()
        for number, change in enumerate(CHANGES, 1):
            change(server)
            assert chain.back_up().kind == "Incremental"
            if number % 2:
                continue
            with a_chain(server) as whole:
                assert whole.back_up().kind == "Full"
                found = restored(whole, 0, place / str(number), space)
            ours = restored(chain, number, place, space)
            told = set(differences(ours, found)) - {"backup_label", "global/pg_control"}
            for path in told:
                pages = [masked((tree / path).read_bytes()) for tree in (ours, found)]
                assert pages[0] == pages[1], path
