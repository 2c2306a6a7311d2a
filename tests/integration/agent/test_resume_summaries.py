"""Increments by WAL summaries that break off, and the next ones: nothing is sent a second time

that is stored already, and what changed meanwhile is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from engine_checks import check_sound
from increments import Chain, Client
from integration.agent.test_resume import SMALL, Cut
from integration.servers import open_directory, start_server
from seams import FakeClock, SystemChance, SystemClock
from strongroom.agent.backup.physical import take_backup
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.servers import ServerBook
from strongroom.datastore.care.partial import Base, joined, lay_partial
from strongroom.datastore.maps.delta import open_delta
from strongroom.datastore.maps.extents import Extents
from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.model.errors import StoreUnavailable
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.work.operation import BackupOrder, BackupResult, Lease
from strongroom.model.work.resume import ResumeReply, ResumeRequest, StoredPart

pytestmark = pytest.mark.postgres


@dataclass
class Tries(Chain):
    """A chain of which a link breaks off: the next try is told what the last one has stored."""

    base: Base = field(default_factory=Base)

    def attempt(self, order: BackupOrder, blobs: MemoryBlobs) -> BackupResult:
        book = ServerBook(self.home / "servers.json")
        book.add("orders", self.server.conninfo, replace=True)
        lease = Lease(operation_id=order.job_id, epoch=1, backup=order)
        held = HeldLease(Asked(self, self.manifests[-1]), lease, SystemClock(), 5.0)
        # What stands still takes no time: each pack that was sent is told.
        done = take_backup(held, book, lambda *_: blobs, FakeClock(), SystemChance(), SMALL)
        assert done.backup is not None
        return done.backup

    def commit(self, order: BackupOrder, told: BackupResult) -> None:
        """Over what was stored, as the control plane does."""
        assert self.base.manifest is not None
        base = msgspec.structs.replace(self.base.manifest, facts=self.manifests[0].facts)
        self._commit(order, told, base)

    def packs(self) -> dict[str, int]:
        return {n: len(d) for n, d in self.blobs.objects.items() if n.endswith(".pack")}


@dataclass
class Asked(Client):
    chain: Tries

    def resume(self, operation_id: str, request: ResumeRequest, pause: Any) -> ResumeReply:
        names = sorted(
            (n for n in self.chain.blobs.objects if n.startswith("d/") and n.count("/") == 2),
            key=lambda name: int(name.rpartition("/")[2].removesuffix(".delta")),
        )
        if not names:
            return ResumeReply()
        told = [open_delta(self.chain.blobs.read(n), self.chain.catalogue) for n in names]
        versions = {path: one for each in told for path, one in each.page_versions.items()}
        if request.part >= 0:
            return ResumeReply(page_versions=versions)
        self.chain.base = lay_partial(Base(self.manifest), joined(told))
        source = told[-1].source
        part = StoredPart(start_lsn=lsn_to_text(Lsn(source.start_lsn)), paths=list(versions))
        return ResumeReply(
            system_identifier=str(source.system_identifier),
            timeline=source.timeline,
            parts=[part],
        )


TABLES = range(8)


def change(tries: Tries) -> None:
    """Half of the pages of some tables, all of one, and a new one."""
    tries.server.sql(
        *(f"update t{n} set s = md5(s) where g % 4000 < 2000" for n in TABLES),
        "update whole set s = md5(s)",
        "create table fresh as select g, md5(g::text) s from generate_series(1, 20000) g",
        "vacuum freeze",
    )


def change_again(tries: Tries) -> None:
    """A little of what was stored; one table is cut off and grows, another begins anew."""
    tries.server.sql(
        *(f"update t{n} set s = 'again' where g < 500" for n in TABLES),
        "delete from t0 where g > 1000",
        "vacuum t0",
        "insert into t0 select g, 'new' from generate_series(1, 9000) g",
        "truncate t1",
        "insert into t1 select g, 'new' from generate_series(1, 5000) g",
        "update fresh set s = 'other' where g = 17",
    )


def relations(manifest: Manifest, packs: set[str]) -> int:
    """Bytes of relations that these packs hold for a point."""
    mine = {index for index, pack in enumerate(manifest.packs) if pack.name in packs}
    return sum(
        extent.length
        for extent in Extents.of_columns(manifest.extents)
        if extent.pack in mine and manifest.files[extent.file].kind == "main"
    )


@pytest.fixture
def tries() -> Iterator[Tries]:
    """A server with a full backup."""
    with (
        start_server(18, summarize_wal="on", autovacuum="off") as server,
        open_directory() as home,
    ):
        for name in ("whole", *(f"t{n}" for n in TABLES)):
            server.sql(
                f"create table {name} with (fillfactor = 45) as "
                "select g, md5(g::text) s from generate_series(1, 24000) g"
            )
        server.sql("vacuum freeze")  # no hint bits are left to be set, and logged
        found = Tries(server, home)
        found.back_up()
        yield found


def test_the_next_try_sends_only_what_the_one_before_had_not(tries: Tries) -> None:
    change(tries)
    full = tries.packs().keys()
    order = msgspec.structs.replace(tries._order(tries.manifests[0]), resume=True)
    with pytest.raises(StoreUnavailable):
        tries.attempt(order, Cut(tries.blobs, 12))
    stored = tries.packs().keys() - full
    change_again(tries)
    again = msgspec.structs.replace(order, delta_name=f"d/{order.job_id}.2.delta")
    told = tries.attempt(again, tries.blobs)
    assert (told.kind, told.why_full, told.resumed) == ("Incremental", "", True)
    sent = tries.packs().keys() - full - stored
    tries.commit(again, told)
    wanted = tries.server.digests()
    tries.back_up(on=0)  # as if nothing had broken off
    alone, resumed = tries.manifests[2], tries.manifests[1]
    whole = relations(alone, tries.packs().keys() - full)
    reused, anew = relations(resumed, stored), relations(resumed, sent)
    assert reused > whole / 8, "the pages are in storage and are leant on"
    assert reused + anew <= whole + (1 << 18), "no page was sent that was there"
    with tries.restored(1) as clone:
        assert clone.digests() == wanted
        check_sound(clone)
