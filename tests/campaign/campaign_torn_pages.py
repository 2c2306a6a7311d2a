"""P6: pages that are read while they are being written, by chance, on servers that compare pages.

Without checksums nothing but the rule of page versions stands between a torn page and a lost row.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign.seed import SEED
from engine_checks import check_sound
from increments import a_chain
from integration.servers import Server, start_server
from strongroom.agent.backup import copy_server
from strongroom.model.postgres import PAGE
from strongroom.postgres.backup.physical import physical_backup
from strongroom.postgres.server.events import Ended, FileBegun, FileData, ManifestData, Started
from strongroom.postgres.wire.incremental_manifest import of_whole_files

pytestmark = [pytest.mark.postgres, pytest.mark.P6]
ROUNDS = 12
SECTOR = 512
LEAST = 200  # torn pages, of each major


class Tearing:
    """Changes the server once a backup has begun, and tears pages as they are read after that."""

    def __init__(self, chance: random.Random, server: Server) -> None:
        self._chance, self._server = chance, server
        self.torn = 0

    def physical_backup(self, *given: Any, **more: Any) -> Iterator[Any]:
        older: dict[str, bytes] = {}
        sizes: dict[str, int] = {}  # of what was torn: PostgreSQL's checksum is of other bytes
        path, place, manifest = "", 0, bytearray()
        for event in physical_backup(*given, **more):
            match event:
                case Started():
                    older = self._pages()
                    self._server.sql(*self._changes(), "checkpoint")
                case FileBegun():
                    path, place = event.path, 0
                    sizes |= {path: event.size} if path in older else {}
                case FileData(data) if path in older:
                    yield FileData(memoryview(self._tear(bytes(data), older[path], place)))
                    place += len(data)
                    continue
                case ManifestData(data):
                    manifest += data
                    continue
                case Ended():
                    yield ManifestData(memoryview(of_whole_files(bytes(manifest), sizes)))
            yield event

    def _pages(self) -> dict[str, bytes]:
        """Of the tables, and of their indexes, as they lie on the disk."""
        self._server.sql("checkpoint")
        found = self._server.sql(
            "select pg_relation_filepath(oid) from pg_class where relnamespace = "
            "'public'::regnamespace and relkind in ('r', 'i')"
        )
        home = self._server.data_directory
        return {path: Path(home / path).read_bytes() for (path,) in found}

    def _tear(self, newer: bytes, older: bytes, place: int) -> bytes:
        pages = bytearray(newer)
        for start in range(0, len(newer) - PAGE + 1, PAGE):
            before = older[place + start : place + start + PAGE]
            after = newer[start : start + PAGE]
            if len(before) < PAGE or before == after or self._chance.random() < 0.3:
                continue
            cut = SECTOR * self._chance.randrange(1, PAGE // SECTOR)
            one, other = self._chance.choice(((after, before), (before, after)))
            torn = one[:cut] + other[cut:]
            pages[start : start + PAGE] = torn
            self.torn += torn not in {before, after}
        return bytes(pages)

    def _changes(self) -> list[str]:
        return [change(self._chance) for _ in range(self._chance.randint(1, 3))]


def change(chance: random.Random) -> str:
    table, step = f"t{chance.randrange(3)}", chance.randint(2, 60)
    return chance.choice(
        (
            f"update {table} set what = md5(what) where id % {step} = 0",
            f"update {table} set what = md5(what) where id < {step * 40}",
            f"insert into {table} select n, 'new' from generate_series(1, {step * 20}) n",
            f"delete from {table} where id % {step} = 1",
            f"select count(*) from {table} where what > 'm'",  # hint bits, and nothing else
            f"vacuum {table}",
            f"vacuum freeze {table}",
        )
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("major", [14, 15, 16])
def test_no_row_is_lost_however_pages_are_torn(major, monkeypatch):
    chance = random.Random(SEED * 100 + major)
    with start_server(major, autovacuum="off") as server, a_chain(server) as chain:
        for number in range(3):
            server.sql(
                f"create table t{number} as select n as id, md5(n::text) as what "
                "from generate_series(1, 4000) n",
                f"create index on t{number} (what)",
            )
        server.sql("create extension amcheck")
        tearing = Tearing(chance, server)
        monkeypatch.setattr(copy_server, "physical_backup", tearing.physical_backup)
        wanted = []
        for _ in range(ROUNDS):
            chain.back_up()
            wanted.append(server.digests())
            server.sql(change(chance))
        assert [told.kind for told in chain.results[1:]] == ["Incremental"] * (ROUNDS - 1)
        assert tearing.torn >= LEAST
        for number in range(ROUNDS):
            with chain.restored(number) as clone:
                assert clone.digests() == wanted[number], number
                check_sound(clone)
