"""One row of the engine's array: a server of some kind, backed up, changed and brought back.

Physical full, increments and restore; dumps and their loading into the same or a newer major; one
database out of a physical point. What comes back has equal rows, and PostgreSQL's own pg_amcheck
finds nothing.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covering import covering, one_of_each
from engine_checks import (
    Digests,
    check_sound,
    digests_of,
    digests_of_database,
    same,
    schema_of,
)
from file_places import EMULATED_KEY, azurite, our_store
from increments import Chain, a_chain
from integration.copies import back_up
from integration.servers import Server, open_directory, own, run_restored, start_server
from logical import dumps
from store_world import KEY_TEXT
from strongroom.datastore.places.blobs import AzureBlobs, Blobs, MemoryBlobs
from strongroom.model.postgres import PAGE

FACTORS = {
    "source": (14, 15, 16, 17, 18),
    "target": (14, 15, 16, 17, 18),
    "checksums": (True, False),
    "spaces": (True, False),
    "tables": ("plain", "partitioned", "unlogged"),
    "extensions": (True, False),
    "names": ("plain", "odd"),
    "files": ("usual", "zeros"),
    "read": ("disk", "stream"),
    "server": ("primary", "standby"),
    "changes": ("summaries", "pages"),
    "storage": ("memory", "ours", "azurite"),
}
CONTAINER = "points"
ODD = "o\"d d\n'ü日\\ %s; --"


@dataclass(frozen=True)
class EngineRow:
    """A level of each factor."""

    source: int
    target: int
    checksums: bool
    spaces: bool
    tables: str
    extensions: bool
    names: str
    files: str
    read: str
    server: str
    changes: str
    storage: str

    def __str__(self) -> str:
        words = [f"{self.source}to{self.target}", self.read, self.server, self.changes]
        words += [self.storage] if self.storage != "memory" else []
        words += [self.tables] if self.tables != "plain" else []
        words += ["checksums"] if self.checksums else []
        words += ["spaces"] if self.spaces else []
        words += ["extensions"] if self.extensions else []
        words += ["odd"] if self.names == "odd" else []
        words += ["zeros"] if self.files == "zeros" else []
        return "-".join(words)

    @property
    def database(self) -> str:
        return ODD if self.names == "odd" else "shop"

    @property
    def schema(self) -> str:
        return ODD if self.names == "odd" else "public"


def can_be(row: dict[str, Any]) -> bool:
    """No dump goes to an older major; no server before 17 sums up its log."""
    backwards = row.get("target", 18) < row.get("source", 14)
    return not backwards and not (row.get("changes") == "summaries" and row.get("source", 18) < 17)


def engine_rows(seed: int) -> list[EngineRow]:
    """Every pair of levels that can meet does."""
    return [EngineRow(**row) for row in covering(FACTORS, can_be, seed)]


def few_rows(seed: int) -> list[EngineRow]:
    """One a source major."""
    return [EngineRow(**row) for row in one_of_each(covering(FACTORS, can_be, seed), "source")]


class EngineStory:
    """One row, from initdb to the last comparison."""

    def __init__(self, row: EngineRow, primary: Server, chain: Chain, space: Path | None) -> None:
        self.row, self.primary, self.chain, self.space = row, primary, chain, space
        self.server = primary  # that backups are taken of
        self.points: list[Digests] = []

    def run(self, target: Server, *restored: int) -> None:
        """Three points: a full one and two increments. `restored`: which are restored whole."""
        fill(self.row, self.primary, self.space)
        with self._source():
            for change in (None, first_change, second_change):
                if change is not None:
                    change(self.row, self.primary)
                self._settle()
                self.chain.back_up(self.server, source=self.row.read)
                self.points.append(digests_of(self.server))
            kinds = [told.kind for told in self.chain.results]
            assert kinds == ["Full", "Incremental", "Incremental"], self._reasons()
            assert not any(told.warnings for told in self.chain.results)
            for number in restored:
                self._restored(number)
            self._loaded(target)
        self._extracted(target)

    def _reasons(self) -> list[str]:
        return [told.why_full for told in self.chain.results]

    @contextlib.contextmanager
    def _source(self) -> Iterator[None]:
        """The server that is read: the primary, or a standby that follows it."""
        if self.row.server == "primary":
            yield
            return
        with open_directory() as place:
            spaces = {str(self.space): str(place / "space")} if self.space else {}
            back_up(self.primary.parsed()).restore(place / "standby", spaces)
            follow(self.primary, place / "standby")
            with run_restored(self.primary, place / "standby") as standby:
                self.server, space = standby, self.space
                self.space = place / "space" if space else None
                try:
                    yield
                finally:
                    self.server, self.space = self.primary, space

    def _settle(self) -> None:
        """The standby has what the primary has, and a restart point to be backed up from."""
        self.primary.sql("checkpoint")
        if self.server is not self.primary:
            [(here,)] = self.primary.sql("select pg_current_wal_lsn()")
            until(self.server, f"select pg_last_wal_replay_lsn() >= '{here}'")
            self.server.sql("checkpoint")

    def _restored(self, number: int) -> None:
        with self.chain.restored(number, self.space) as clone:
            same(digests_of(clone), self.points[number])
            check_sound(clone)

    def _loaded(self, target: Server) -> None:
        """A dump of a standby holds no rows of unlogged tables: nobody can read them there."""
        with dumps() as made, a_backend(self.row.storage) as blobs:
            made.blobs = blobs
            made.dump(self.server.conninfo)
            made.load(target, {self.row.database: "loaded"}, roles=True)
        unlogged = self.server is self.primary
        wanted = digests_of_database(self.server, self.row.database, unlogged=unlogged)
        same(digests_of_database(target, "loaded", unlogged=unlogged), wanted)
        described = schema_of(target, self.primary, self.row.database)
        same(schema_of(target, target, "loaded"), described)
        target.sql("drop database loaded")

    def _extracted(self, target: Server) -> None:
        told = self.chain.extract(2, target, self.row.database, "taken")
        warned = [warning["message"].partition(": ")[0] for warning in told.warnings]
        expected = self.row.tables == "unlogged"
        assert warned == [f"{self.row.schema}.draft is unlogged"] * expected
        same(digests_of_database(target, "taken"), self.points[2][self.row.database])
        target.sql("drop database taken", f"drop role {quoted(f'clerk {self.row.schema}')}")


@contextlib.contextmanager
def a_backend(kind: str) -> Iterator[Blobs]:
    """Where points are kept: a new and empty container."""
    if kind == "memory":
        yield MemoryBlobs()
        return
    key = KEY_TEXT if kind == "ours" else EMULATED_KEY
    with our_store() if kind == "ours" else azurite() as service:
        service.create_container(CONTAINER)
        yield AzureBlobs(f"{service.url.rstrip('/')}/{CONTAINER}", account_key=key)


@contextlib.contextmanager
def an_engine_story(row: EngineRow) -> Iterator[EngineStory]:
    options = ("--data-checksums",) if row.checksums else ()
    if not row.checksums and row.source >= 18:
        options = ("--no-data-checksums",)
    settings: dict[str, Any] = {"autovacuum": "off"}
    if row.source >= 17:
        settings["summarize_wal"] = "on" if row.changes == "summaries" else "off"
    with (
        start_server(row.source, options=options, **settings) as server,
        a_chain(server) as chain,
        a_backend(row.storage) as chain.blobs,
        open_directory() as place,
    ):
        space = place / ("sp ace\nü" if row.names == "odd" else "space") if row.spaces else None
        if space is not None:
            space.mkdir()
            own(space)
        yield EngineStory(row, server, chain, space)


def quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def fill(row: EngineRow, server: Server, space: Path | None) -> None:
    database, role = row.database, quoted(f"clerk {row.schema}")
    server.sql(f"create database {quoted(database)}", f"create role {role}")
    statements = [*_BASE, f"grant select on item to {role}", f"alter table held owner to {role}"]
    if space is not None:
        server.sql(f"create tablespace fast location '{space}'")
        statements += [
            "create table priced (id int primary key, price numeric) tablespace fast",
            "insert into priced select n, n * 1.5 from generate_series(1, 3000) n",
            "create index on item (body) tablespace fast",
        ]
    statements += _TABLES[row.tables] + (_EXTENSIONS if row.extensions else [])
    path = f"set search_path = {quoted(row.schema)}, public"
    schema = f"create schema if not exists {quoted(row.schema)}"
    server.sql(schema, path, *statements, database=database)
    if row.names == "odd":
        server.sql(path, f"create table {quoted(ODD)} ({quoted(ODD)} int)",
                   f"insert into {quoted(ODD)} values (7)", database=database)  # fmt: skip
        server.sql("create database latin encoding 'LATIN1' template template0 locale 'C'")
        server.sql("create table käse as select 'größe' as maß", database="latin")
    if row.files == "zeros":
        with_zeros(row, server)


_BASE = [
    "create table item (id serial primary key, body text not null, at timestamptz default now())",
    "insert into item (body) select md5(n::text) || repeat('x', n % 90) "
    "from generate_series(1, 8000) n",
    "create table wide (id int, t text)",
    "alter table wide alter t set storage external",
    "insert into wide select n, repeat(md5(n::text), 400) from generate_series(1, 40) n",
    "create table held (id int references item)",
    "insert into held values (7)",
    "alter table held enable row level security",
    "create policy own on held using (id > 3)",
    "create table nothing (id int)",
    "create materialized view seen as select count(*) from item",
    "create function twice(n int) returns int language sql as 'select n * 2'",
    "select lo_from_bytea(4711, decode(repeat('00ff', 9000), 'hex'))",
    "create table dropped as select n from generate_series(1, 500) n",
]
_TABLES = {
    "plain": [],
    "partitioned": [
        "create table part (id int, what text) partition by range (id)",
        "create table part_a partition of part for values from (0) to (1000)",
        "create table part_b partition of part for values from (1000) to (9000)",
        "create table part_d partition of part default",
        "create index on part (what)",
        "insert into part select n, md5(n::text) from generate_series(0, 9999) n",
    ],
    "unlogged": [
        "create unlogged table draft as select n, md5(n::text) from generate_series(1, 900) n",
        "create index on draft (n)",
    ],
}
_EXTENSIONS = [
    "create extension hstore",
    "create extension citext",
    "create extension btree_gist",
    "create table typed (h hstore, c citext, during int4range, room int, "
    "exclude using gist (room with =, during with &&))",
    "insert into typed select hstore('n', n::text), 'C' || n, int4range(n, n + 1), n % 7 "
    "from generate_series(1, 300) n",
    "create index on typed using gin (h)",
]


def with_zeros(row: EngineRow, server: Server) -> None:
    """A page of zeros within a relation, one behind its end, and an empty file beside them."""
    server.sql("create table holed as select n from generate_series(1, 2000) n",
               "create table longer as select n from generate_series(1, 2000) n",
               "checkpoint", database=row.database)  # fmt: skip
    places = [
        server.data_directory / path
        for (path,) in server.sql(
            "select pg_relation_filepath(n::regclass) from (values ('holed'), ('longer')) v (n)",
            database=row.database,
        )
    ]
    server.stop()
    with places[0].open("r+b") as file:
        file.seek(PAGE)
        file.write(bytes(PAGE))
    with places[1].open("ab") as file:
        file.write(bytes(2 * PAGE))
    own(_touched(server.data_directory / "base" / "empty"))
    server.start()


def _touched(path: Path) -> Path:
    path.touch()
    return path


def first_change(row: EngineRow, server: Server) -> None:
    path = f"set search_path = {quoted(row.schema)}, public"
    more = ["delete from priced where id % 3 = 0"] if row.spaces else []
    more += ["update part set what = 'new' where id % 50 = 0"] if "part" in row.tables else []
    more += ["insert into holed values (0)", "vacuum longer"] if row.files == "zeros" else []
    server.sql(
        path,
        "update item set body = body || '!' where id % 40 = 0",
        "delete from wide where id > 30",
        "vacuum wide",
        "insert into nothing values (1)",
        *more,
        database=row.database,
    )


def second_change(row: EngineRow, server: Server) -> None:
    path = f"set search_path = {quoted(row.schema)}, public"
    more = ["truncate priced", "drop index item_body_idx"] if row.spaces else []
    more += ["alter table part detach partition part_b"] if row.tables == "partitioned" else []
    more += ["vacuum full holed", "truncate nothing"] if row.files == "zeros" else []
    server.sql(
        path,
        "vacuum full item",
        "drop table dropped",
        "create table fresh as select n, md5(n::text) from generate_series(1, 3000) n",
        "create index on fresh (md5)",
        "refresh materialized view seen",
        "select lo_put(4711, 5, 'abc')",
        *more,
        database=row.database,
    )
    server.sql("create database other")


def follow(primary: Server, directory: Path) -> None:
    """Make a restored directory a standby of its source."""
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_conninfo = 'host={primary.home} port={primary.port} user=postgres'\n")
    own(_touched(directory / "standby.signal"))


def until(server: Server, query: str) -> None:
    deadline = time.monotonic() + 60
    while server.sql(query) != [(True,)]:
        assert time.monotonic() < deadline, query
        time.sleep(0.02)
