"""Every byte of real points is read: what is whole is proven, what is not is named by place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import pytest

from increments import INSTANCE, Chain, a_chain
from integration.servers import Server, start_server
from logical import Dumps, dumps
from seams import SystemChance, SystemClock
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.proof.verify import verify
from strongroom.datastore.keys.session import SessionKeys, content_keys, seal_session
from strongroom.datastore.maps import page_parts
from strongroom.datastore.maps.extents import Extent, columns_of
from strongroom.datastore.maps.manifest import Manifest, content_key_of, seal_manifest
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.model.errors import Cancelled
from strongroom.model.postgres import PAGE
from strongroom.model.work.operation import KeysReply, KeysRequest, Lease
from strongroom.model.work.verify import VerifyOrder, VerifyResult
from strongroom.postgres.dump.list_dump import list_dump

pytestmark = pytest.mark.postgres


@dataclass
class Proof:
    """A point that is verified, as a control plane would ask for it."""

    blobs: MemoryBlobs
    catalogue: KeyPair
    data: KeyPair
    manifest: Manifest
    chunk_key: bytes = b""
    name: str = "p/looked-at.manifest"

    def keys(
        self, operation_id: str, request: KeysRequest, pause: Callable[[float], None]
    ) -> KeysReply:
        stored = self.blobs.read(self.name)
        keys = SessionKeys(
            manifest=content_key_of(stored, self.catalogue),
            packs=content_keys(self.blobs, self.manifest, self.data, tolerant=True),
        )
        return KeysReply(sealed=seal_session(keys, request.session_public_key, operation_id))

    def hold(self) -> HeldLease:
        order = VerifyOrder(
            job_id="verification",
            recovery_point_id=self.manifest.facts.recovery_point_id,
            instance_id=INSTANCE,
            manifest_name=self.name,
            chunk_key=self.chunk_key,
        )
        lease = Lease(operation_id="verification", epoch=1, verify=order)
        return HeldLease(self, lease, SystemClock(), 5.0)  # type: ignore[arg-type]

    def run(self, held: HeldLease | None = None) -> VerifyResult:
        sealed = seal_manifest(self.manifest, self.catalogue.public, SystemClock(), SystemChance())
        self.blobs.objects[self.name] = sealed
        done = verify(held or self.hold(), lambda *_: self.blobs, SystemChance())
        assert done.verify is not None
        return done.verify

    def index(self, path: str) -> int:
        return next(n for n, file in enumerate(self.manifest.files) if file.path == path)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g")
        yield found


@pytest.fixture(scope="module")
def chain(server: Server) -> Iterator[Chain]:
    """A full point, and an increment on it."""
    with a_chain(server) as found:
        found.back_up()
        server.sql("update t set md5 = 'changed' where g % 4000 = 0", "checkpoint")
        found.back_up()
        yield found


@pytest.fixture(scope="module")
def dumped(server: Server) -> Iterator[Dumps]:
    with dumps() as found:
        found.dump(server.conninfo)
        yield found


def of_chain(chain: Chain, number: int) -> Proof:
    blobs = MemoryBlobs()
    blobs.objects.update(chain.blobs.objects)
    return Proof(blobs, chain.catalogue, chain.data, chain.manifests[number])


def of_dump(dumped: Dumps) -> Proof:
    blobs = MemoryBlobs()
    blobs.objects.update(dumped.blobs.objects)
    key = bytes(range(32))
    return Proof(blobs, dumped.catalogue, dumped.data, dumped.manifests[-1], key)


def table_file(chain: Chain) -> str:
    rows = chain.server.sql("select pg_relation_filepath('t')")
    return str(rows[0][0])


@pytest.mark.parametrize("number", [0, 1])
def test_a_whole_physical_point_is_proven(chain: Chain, number: int) -> None:
    proof = of_chain(chain, number)
    told = proof.run()
    assert told.damage == []
    assert told.checked_bytes == sum(pack.raw_size for pack in proof.manifest.packs)
    assert told.fetched_bytes == sum(pack.size for pack in proof.manifest.packs)


def test_an_increment_that_the_server_sent_in_parts_is_proven_and_its_damage_named() -> None:
    with start_server(18, summarize_wal="on") as server, a_chain(server) as chain:
        server.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g")
        chain.back_up()
        server.sql("update t set md5 = 'changed' where g % 4000 = 0", "checkpoint")
        assert chain.back_up().kind == "Incremental"
        proof = of_chain(chain, 1)
        assert not proof.manifest.page_versions, "by the server's own summaries"
        assert proof.run().damage == []
        newest = proof.manifest.packs[-1]
        stored = bytearray(proof.blobs.objects[newest.name])
        stored[len(stored) // 2] ^= 1
        proof.blobs.objects[newest.name] = bytes(stored)
        (damage,) = proof.run().damage
        assert damage.name == newest.name
        assert not any("INCREMENTAL" in place for place in damage.places)


def test_a_flipped_bit_loses_one_frame_and_names_its_blocks(chain: Chain) -> None:
    proof = of_chain(chain, 0)
    pack = proof.manifest.packs[0]
    stored = bytearray(proof.blobs.objects[pack.name])
    stored[len(stored) // 2] ^= 1
    proof.blobs.objects[pack.name] = bytes(stored)
    (damage,) = proof.run().damage
    assert damage.name == pack.name
    assert "not what was written" in damage.problem
    places = len(damage.places) + damage.more
    assert 0 < places < 100
    assert any(place.startswith(("base/", "global/", "pg_")) for place in damage.places)


def test_page_versions_beside_the_packs_are_read_too(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = of_chain(chain, 1)
    monkeypatch.setattr(page_parts, "INLINE_BYTES", 0)
    monkeypatch.setattr(page_parts, "PART_BYTES", 2000)
    inline, parts = page_parts.store_page_versions(
        proof.manifest.page_versions,
        proof.blobs,
        "beside",
        proof.catalogue.public,
        SystemClock(),
        SystemChance(),
    )
    assert not inline
    assert len(parts) > 1
    proof.manifest = msgspec.structs.replace(proof.manifest, page_versions={}, page_parts=parts)
    told = proof.run()
    assert told.damage == []
    assert told.fetched_bytes == sum(each.size for each in proof.manifest.objects)
    proof.blobs.objects[parts[0].name] = bytes(parts[0].size)
    (damage,) = proof.run().damage
    assert damage.name == parts[0].name


@pytest.mark.parametrize("harm", ["gone", "cut off", "header"])
def test_a_pack_that_cannot_be_opened_at_all_is_named(chain: Chain, harm: str) -> None:
    proof = of_chain(chain, 1)
    pack = proof.manifest.packs[0].name
    stored = bytearray(proof.blobs.objects.pop(pack))
    if harm == "cut off":
        proof.blobs.objects[pack] = bytes(stored[:-1])
    elif harm == "header":
        stored[50] ^= 1
        proof.blobs.objects[pack] = bytes(stored)
    (damage,) = proof.run().damage
    assert damage.name == pack
    assert damage.places


def test_a_page_in_the_place_of_another_is_found_by_what_postgres_said_of_it(
    chain: Chain,
) -> None:
    """No key and no digest tells: the packs are whole, the map is wrong."""
    path = table_file(chain)
    for number in (0, 1):
        proof = of_chain(chain, number)
        index = proof.index(path)
        rows = [e for e in proof.manifest.all_extents() if e.file != index]
        mine = [e for e in proof.manifest.all_extents() if e.file == index]
        first, *others = mine
        twice = Extent(index, 0, PAGE, first.pack, first.raw + PAGE)
        rest = Extent(index, PAGE, first.length - PAGE, first.pack, first.raw + PAGE)
        assert first.length > 2 * PAGE
        wrong = columns_of([*rows, twice, rest, *others])
        proof.manifest = msgspec.structs.replace(proof.manifest, extents=wrong)
        (damage,) = proof.run().damage
        assert damage.name == f"p/{proof.manifest.facts.recovery_point_id}.manifest"
        assert path in damage.problem
        assert damage.places == ([f"{path}, block 0"] if number else [])


def test_a_verification_stops_when_it_is_told_to(chain: Chain) -> None:
    proof = of_chain(chain, 0)
    held = proof.hold()
    held.stop(Cancelled("somebody asked"))
    with pytest.raises(Cancelled):
        proof.run(held)


def test_a_whole_dump_is_proven_and_a_flipped_bit_of_it_is_named(dumped: Dumps) -> None:
    proof = of_dump(dumped)
    assert proof.run().damage == []
    pack = max(proof.manifest.packs, key=lambda each: each.raw_size)
    stored = bytearray(proof.blobs.objects[pack.name])
    stored[len(stored) // 2] ^= 1
    proof.blobs.objects[pack.name] = bytes(stored)
    (damage,) = proof.run().damage
    assert damage.name == pack.name
    assert any(".dump, byte " in place for place in damage.places), damage


def test_a_chunk_that_is_not_the_one_that_was_dumped_is_named(dumped: Dumps) -> None:
    proof = of_dump(dumped)
    proof.chunk_key = bytes(32)
    damage = proof.run().damage
    assert len(damage) == len(proof.manifest.chunks["key"]) // 16
    assert {each.problem for each in damage} == {"a chunk is not the one that was dumped"}


def test_a_dump_whose_head_pg_restore_cannot_read_is_told(server: Server) -> None:
    assert "not appear to be a valid archive" in list_dump(server.tools, [b"PGDNP", bytes(4096)])
