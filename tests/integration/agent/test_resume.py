"""Tries that break off as their packs are put, and the next ones, against real servers."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from integration.servers import Server, start_server
from logical import Dumps, dumps
from seams import FakeClock, SystemChance
from strongroom.agent.backup.logical import take_dump
from strongroom.agent.memory import Share
from strongroom.datastore.care.partial import Base, lay_partial
from strongroom.datastore.dumps.chunks import distinct_keys
from strongroom.datastore.maps.delta import open_delta
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.model.errors import StoreUnavailable
from strongroom.model.work.operation import BackupOrder, BackupResult
from strongroom.model.work.resume import ResumeReply, ResumeRequest

pytestmark = pytest.mark.postgres
SMALL = Share(pack_raw_size=1 << 20, workers=2)


class Cut(MemoryBlobs):
    """The network goes away when so many packs have been put after the first partial delta."""

    def __init__(self, whole: MemoryBlobs, packs: int) -> None:
        super().__init__()
        self._whole, self._left = whole, packs

    def create(self, name: str, data: Any) -> None:
        told = any(each.startswith("d/") for each in self._whole.objects)
        if name.endswith(".pack") and told:
            if self._left == 0:
                raise StoreUnavailable("the network is away")
            self._left -= 1
        self._whole.create(name, data)


class Tries(Dumps):
    """A control plane that answers what was stored."""

    base = Base()
    asked = 0

    def resume(self, operation_id: str, request: ResumeRequest, pause: Any) -> ResumeReply:
        assert request.logical
        self.asked += 1
        self.lay()
        manifest = self.base.manifest
        return ResumeReply(chunk_keys=distinct_keys(manifest.chunks) if manifest else b"")

    def lay(self) -> None:
        """What the partial deltas tell by now."""
        self.base = Base(self.manifests[-1] if self.manifests else None)
        for name in sorted(self.blobs.objects):
            if name.startswith("d/") and name.count("/") == 2:
                delta = open_delta(self.blobs.read(name), self.catalogue)
                self.base = lay_partial(self.base, delta)

    def attempt(self, server: Server, order: BackupOrder, blobs: MemoryBlobs) -> BackupResult:
        held = self.lease(order)
        book = self.book(server.conninfo)
        # What stands still takes no time: each pack that was sent is told.
        done = take_dump(held, book, lambda *_: blobs, FakeClock(), SystemChance(), SMALL)
        assert done.backup is not None
        return done.backup

    def packs(self) -> dict[str, int]:
        return {n: len(d) for n, d in self.blobs.objects.items() if n.endswith(".pack")}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql("create database shop")
        found.sql(
            "create table t as select g, md5(g::text) || md5((-g)::text) as m "
            "from generate_series(1, 120000) g",
            database="shop",
        )
        yield found


def test_a_dump_that_broke_off_sends_only_the_chunks_that_it_had_not(server: Server) -> None:
    with dumps() as home:
        tries = Tries(home.home)
        order = msgspec.structs.replace(tries.order(), resume=True)
        with pytest.raises(StoreUnavailable):
            tries.attempt(server, order, Cut(tries.blobs, 2))
        before = tries.packs()
        tries.lay()
        assert tries.base.manifest is not None
        told = {pack.name for pack in tries.base.manifest.packs}
        again = msgspec.structs.replace(order, delta_name="d/job-1.2.delta")
        assert tries.attempt(server, again, tries.blobs).resumed
        assert tries.asked == 2
        tries.commit(again, tries.base.manifest)
        after = tries.packs()
        sent = sum(size for name, size in after.items() if name not in before)
        needed = {pack.name for pack in tries.manifests[0].packs}
        assert told, "the first try told of a pack"
        assert told <= needed & before.keys(), "and the next one leans on it"
        assert sent <= sum(after[name] for name in needed - told)
        server.sql("drop database if exists again")
        tries.load(server, {"shop": "again"})
        assert server.digests("again") == server.digests("shop")
