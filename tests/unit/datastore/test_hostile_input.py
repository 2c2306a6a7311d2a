"""Whatever bytes come in, only typed errors come out."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seams import FakeClock, SeededChance
from strongroom.datastore.keys.keys import RecoveryKey, open_instance_key, open_under_kek
from strongroom.datastore.keys.session import open_session, seal_session
from strongroom.datastore.maps.delta import delta_of, lay_over, open_delta
from strongroom.datastore.maps.manifest import PointFacts
from strongroom.datastore.packs.pack import (
    DELTA,
    HEADER_SIZE,
    PACK,
    OpenPack,
    open_content_key,
    pack_bytes,
    read_header,
    unpack_bytes,
)
from strongroom.datastore.packs.seal import KeyPair, PublicKey, open_sealed
from strongroom.datastore.places.blobs import DirectoryBlobs
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.errors import Corrupt, Invalid, VaultError
from strongroom.model.ids import PackId, uuid7
from strongroom.model.oversight.audit import canonical
from worlds import PG_MANIFEST, SOURCE, World, memory, micro_world, point_id

typed = contextlib.suppress(VaultError)
quickly = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
WORLD = micro_world()
STORED = min((v for k, v in memory(WORLD).items() if k.endswith(".pack")), key=len)
CONTENT_KEY = open_content_key(read_header(STORED, PACK), WORLD.keys.data)
RECEIPT = memory(WORLD)[f"p/{point_id(1)}.receipt"]
DELTA_RAW = msgspec.msgpack.encode(
    delta_of(
        World(keys=WORLD.keys).write({"a": b"x" * 20_000, "b": b""}, "g"), SOURCE, PG_MANIFEST
    )
)
FACTS = PointFacts(
    recovery_point_id="r", instance_id="i", job_id="j", taken_at="", committed_at=""
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def edited(stored: bytes) -> st.SearchStrategy[bytes]:
    """The real thing with a stretch replaced by anything."""
    return st.builds(
        lambda at, drop, put: stored[:at] + put + stored[at + drop :],
        st.integers(0, len(stored)),
        st.integers(0, 40),
        st.binary(max_size=40),
    )


@quickly
@given(st.binary(max_size=1400) | edited(STORED) | edited(STORED[:HEADER_SIZE]))
def test_headers(raw: bytes) -> None:
    with typed:
        header = read_header(raw, PACK)
        assert header.size == HEADER_SIZE
        open_content_key(header, WORLD.keys.data)


@quickly
@given(st.binary(max_size=200) | edited(STORED[-400:]), st.integers(0, 1 << 40))
@example(b"\0\0\0\0SRPACKED", 12)
@example(b"\xff\xff\xff\xffSRPACKED", 12)
def test_tables(ending: bytes, size: int) -> None:
    opened = OpenPack(read_header(STORED, PACK).pack_id, CONTENT_KEY)
    with typed:
        opened.table(ending, size)


@quickly
@given(
    st.integers(1, 1 << 32 - 1), st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)))
)
def test_tables_that_a_hostile_writer_sealed(
    frame_size: int, lengths: list[tuple[int, int]]
) -> None:
    from strongroom.datastore.packs.pack import PackKey

    chance = SeededChance(3)
    key = PackKey(PACK, PackId(uuid7(FakeClock().now(), chance)), WORLD.keys.data.public, chance)
    frames = b"".join(bytes(stored) for stored, _ in lengths)
    with typed:
        stored = key.header + frames + key.ending(frame_size, lengths)
        header = read_header(stored, PACK)
        unpack_bytes(PACK, stored, open_content_key(header, WORLD.keys.data))


@quickly
@given(st.binary(max_size=1500) | edited(STORED), st.binary(max_size=40) | st.just(CONTENT_KEY))
def test_whole_objects(stored: bytes, key: bytes) -> None:
    with typed:
        unpack_bytes(PACK, stored, key)


def sealed_delta(raw: bytes) -> bytes:
    chance = SeededChance(5)
    pack_id = PackId(uuid7(FakeClock().now(), chance))
    return pack_bytes(DELTA, raw, pack_id, WORLD.keys.catalogue.public, chance)


@quickly
@given(st.binary(max_size=300) | edited(DELTA_RAW) | ANY.map(msgspec.msgpack.encode))
@example(b"\x91" * 100_000)
def test_deltas_of_a_hostile_writer(raw: bytes) -> None:
    with typed:
        lay_over(open_delta(sealed_delta(raw), WORLD.keys.catalogue), FACTS)


@quickly
@given(st.data())
def test_deltas_with_one_field_of_another_value(data: st.DataObject) -> None:
    told: Any = msgspec.msgpack.decode(DELTA_RAW)
    place = told
    for _ in range(data.draw(st.integers(0, 3))):
        inside = list(place.values()) if isinstance(place, dict) else list(place)
        inside = [value for value in inside if isinstance(value, dict | list) and value]
        if not inside:
            break
        place = data.draw(st.sampled_from(inside))
    at = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
    place[at] = data.draw(ANY)
    with typed:
        lay_over(
            open_delta(sealed_delta(msgspec.msgpack.encode(told)), WORLD.keys.catalogue), FACTS
        )


@quickly
@given(st.binary(max_size=300) | edited(RECEIPT) | ANY.map(lambda value: repr(value).encode()))
@example(b"[" * 100_000)
@example(b'{"body":{},"signature":"","key":""}')
@example(b'{"body":' + b"9" * 5000 + b"}")
def test_receipts(stored: bytes) -> None:
    if stored == RECEIPT:
        return
    with pytest.raises(Corrupt):
        WORLD.keys.signing.public.check(stored)


def test_receipts_that_are_signed_and_yet_none() -> None:
    signing = SigningKey(bytes(32))
    body = {"version": 1, "recovery_point_id": 7}
    tellings: list[Any] = [body, {**body, "version": 2}, [], None, 3]
    for told in tellings:
        import base64

        signature = signing._key.sign(b"strongroom-receipt-1\n" + canonical(told))
        envelope = {
            "body": told,
            "key": base64.b64encode(signing.public.raw).decode(),
            "signature": base64.b64encode(signature).decode(),
        }
        with pytest.raises(Corrupt):
            signing.public.check(canonical(envelope))


RECOVERY_TEXT = WORLD.keys.recovery.to_text()


@quickly
@given(
    st.text(max_size=200)
    | st.text().map(lambda t: "strongroom recovery key 1\n" + t)
    | st.builds(
        lambda at, drop, put: RECOVERY_TEXT[:at] + put + RECOVERY_TEXT[at + drop :],
        st.integers(0, len(RECOVERY_TEXT)),
        st.integers(0, 30),
        st.text(max_size=5),
    )
)
@example("")
@example("strongroom recovery key 1\nsecret\nverify\n")
def test_recovery_keys(text: str) -> None:
    with contextlib.suppress(Invalid):
        RecoveryKey.from_text(text)


def test_a_recovery_key_reads_back() -> None:
    again = RecoveryKey.from_text(RECOVERY_TEXT.replace("\n", "\r\n"))
    assert again.to_text() == RECOVERY_TEXT
    assert "secret" not in repr(again)


@quickly
@given(st.binary(max_size=1400), st.binary(max_size=40))
def test_sealed_secrets(sealed: bytes, info: bytes) -> None:
    pair = WORLD.keys.catalogue
    with pytest.raises(VaultError):
        open_sealed(pair, info, sealed)
    with pytest.raises(VaultError):
        open_instance_key(pair, info, sealed)
    with pytest.raises(VaultError):
        open_session(pair, "operation", sealed)
    with pytest.raises(VaultError):
        open_under_kek(bytes(32), sealed, info)
    with typed:
        KeyPair.from_bytes(info)
    with typed:
        PublicKey.from_bytes(info)


def test_a_session_to_a_key_of_another_length_is_refused() -> None:
    from strongroom.datastore.keys.session import SessionKeys

    with pytest.raises(Corrupt):
        seal_session(SessionKeys(manifest=bytes(32), packs={}), b"short", "operation")


@quickly
@given(st.text(max_size=300) | st.text(st.sampled_from("./\\a\0é\ud800"), max_size=12))
@example("")
@example("a" * 300)
@example("a/" * 3000 + "a")
@example("kept/below")
@example("kept")
@example("/etc/passwd")
@example("a/../../outside")
@example("\ud800")
def test_names_in_a_directory(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "store")
        root.mkdir()
        blobs = DirectoryBlobs(root)
        blobs.create("kept", b"kept")
        with typed:
            blobs.create(name, b"data")
            assert blobs.read(name) == b"data"
            assert blobs.size(name) == 4
        for ask in (blobs.read, blobs.size, lambda n: blobs.read_range(n, 0, 1)):
            with typed:
                ask(name)
        assert blobs.read("kept") == b"kept"
        assert [path.name for path in Path(place).iterdir()] == ["store"]
