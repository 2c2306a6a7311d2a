"""A server's contents and four sorts of change to them, for chains of increments."""

from collections.abc import Callable
from pathlib import Path

from increments import Chain
from integration.servers import Server


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
