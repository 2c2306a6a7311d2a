"""P5, P6: long chains of increments over changes drawn by chance, on every major."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from campaign.seed import SEED
from combined import RawBackups
from engine_checks import check_sound
from increments import Chain, a_chain
from integration.servers import Server, open_directory, own, start_server
from trees import differences

pytestmark = [pytest.mark.postgres, pytest.mark.P5, pytest.mark.P6]
LENGTH = 16
TABLES = 5


class Changes:
    """Statements drawn by chance, over tables t0 to t4."""

    def __init__(self, seed: int, space: Path) -> None:
        self._chance = random.Random(seed)
        self._space = space
        self._made = 0

    def first(self) -> Iterator[str]:
        yield f"create tablespace fast location '{self._space}'"
        for number in range(TABLES):
            yield self._create(f"t{number}")

    def draw(self) -> list[str]:
        """One to four of them, each in a transaction of its own."""
        return [self._one() for _ in range(self._chance.randint(1, 4))]

    def _create(self, table: str) -> str:
        rows = self._chance.choice((0, 10, 3000, 20000))
        return (
            f"create table {table} as select n as id, md5(n::text) as what "
            f"from generate_series(1, {rows}) n"
        )

    def _one(self) -> str:
        chance, table = self._chance, f"t{self._chance.randrange(TABLES)}"
        step, self._made = chance.randint(2, 400), self._made + 1
        return chance.choice(
            (
                f"insert into {table} select n, 'new' from generate_series(1, {step * 10}) n",
                f"update {table} set what = what || '!' where id % {step} = 0",
                f"delete from {table} where id % {step} < {step // 2}",
                f"delete from {table} where id > {step}",
                f"vacuum {table}",
                f"vacuum full {table}",
                f"vacuum freeze {table}",
                f"truncate {table}",
                f"alter table {table} set tablespace {chance.choice(('fast', 'pg_default'))}",
                f"alter table {table} set {chance.choice(('logged', 'unlogged'))}",
                f"alter table {table} alter id type {chance.choice(('bigint', 'integer'))}",
                f"create index i{self._made} on {table} (what)",
                f"reindex table {table}",
                f"create database d{self._made}",
                f"drop table {table}; {self._create(table)}",
                "checkpoint",
                "select pg_switch_wal()",
            )
        )


def logged(server: Server) -> dict[str, tuple[int, str]]:
    """Rows of what a physical point holds: unlogged tables are empty after every recovery."""
    names = server.sql(
        "select 'public.' || relname from pg_class where relkind = 'r' and relpersistence = 'p'"
    )
    return {name: told for name, told in server.digests().items() if (name,) in names}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("major", [14, 15, 16, 17, 18])
def test_every_point_of_a_long_chain_holds_the_rows_of_its_time(major, monkeypatch):
    with ExitStack() as stack:
        settings = {"summarize_wal": "on"} if major >= 17 else {}
        server = stack.enter_context(start_server(major, autovacuum="off", **settings))
        chain = stack.enter_context(a_chain(server))
        place = stack.enter_context(open_directory())
        space = place / "space"
        space.mkdir()
        changes = Changes(SEED * 100 + major, own(space))
        server.sql(*changes.first())
        raw, wanted = RawBackups(place / "raw"), []
        for _ in range(LENGTH):
            if major >= 17:
                raw.back_up(chain, monkeypatch)
            else:
                chain.back_up()
            wanted.append(logged(server))
            server.sql(*changes.draw())
        assert [told.kind for told in chain.results[1:]] == ["Incremental"] * (LENGTH - 1)
        for number in (*random.Random(SEED).sample(range(LENGTH - 1), 3), LENGTH - 1):
            with chain.restored(number, space) as clone:
                assert logged(clone) == wanted[number], number
                clone.sql("create extension amcheck")
                check_sound(clone)
        if major >= 17:
            compare(chain, raw, place, space)


def compare(chain: Chain, raw: RawBackups, place: Path, space: Path) -> None:
    last = len(chain.manifests) - 1
    chain.restore(last, place / "ours", {str(space): str(place / "ours-space")})
    assert differences(place / "ours", raw.combined(chain, last)) == {}
