"""R3: what somebody who can create any object makes of a point, without the key that signs.

Each forgery is put beside two true points, and everybody looks. docs/security.md has the table;
`UPDATE_GOLDEN=1` writes it anew.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from care_world import CareWorld, care_world
from seams import SeededChance
from security_page import check_table
from strongroom.datastore.maps.delta import delta_of, lay_over
from strongroom.datastore.maps.manifest import seal_manifest
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.rescue.rescue import list_points, open_point_keys
from strongroom.datastore.statements.receipt import Receipt, SigningKey, canonical
from strongroom.model.errors import VaultError
from strongroom.workflows.proof.census import take_census
from worlds import PG_MANIFEST, SOURCE, Keys, World, memory, point_id, small_tree

pytestmark = pytest.mark.R3
FORGED = point_id(9)
COLUMNS = ["rescue takes it for a point", "the census lists it", "it opens"]
THIEF = SigningKey(SeededChance(99).bytes(32))
OTHERS: dict[str, Any] = {  # what each field of a receipt might be made to say
    "recovery_point_id": FORGED,
    "instance_id": "1" * 32,
    "vault": "another/vault",
    "server": "another",
    "taken_at": "2031-01-01T00:00:00Z",
    "committed_at": "2031-01-01T00:00:00Z",
    "tag": "Yearly",
    "expires_at": "2099-01-01T00:00:00Z",
    "manifest_size": 1,
    "manifest_blake3": "AAAA",
    "packs": [],
    "version": 2,
}
Objects = tuple[bytes | None, bytes | None]  # manifest, receipt


class Place:
    """Two points of a container, and what a thief finds and can make there."""

    def __init__(self, world: CareWorld) -> None:
        self.world, self.written = world, world.written
        self.points = [world.a_point(1), world.a_point(2)]
        assert take_census(world.means, world.instance) == self.points
        self.manifests, self.receipts = (
            [world.blobs.read(f"p/{point}.{kind}") for point in self.points]
            for kind in ("manifest", "receipt")
        )

    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.receipts[0])
        return found

    def own_point(self) -> tuple[bytes, Receipt]:
        """All but the signature: packs in a generation of its own, sealed to the public keys."""
        delta = delta_of(self.written.write(small_tree(4), FORGED), SOURCE, PG_MANIFEST)
        manifest = lay_over(delta, self.written._point_facts(FORGED))
        key, clock = self.written.keys.catalogue.public, self.written.clock
        stored = seal_manifest(manifest, key, clock, self.written.chance)
        return stored, self.written.receipt(manifest, stored)

    def see(self, forge: Callable[["Place"], Objects]) -> list[str]:
        world = self.world
        for kind, data in zip(("manifest", "receipt"), forge(self), strict=True):
            if data is not None:
                world.blobs.create(f"p/{FORGED}.{kind}", data)
        recovery, opens = self.written.keys.recovery, False
        told = {each.recovery_point_id: each for each in list_points(world.blobs, recovery)}
        is_point = FORGED in told and told[FORGED].receipt is not None
        is_listed = FORGED in take_census(world.means, world.instance)
        with suppress(VaultError):
            open_point_keys(world.blobs, recovery, FORGED)
            opens = True
        assert all(told[point].receipt is not None for point in self.points)
        for name in [name for name in world.names() if FORGED in name]:
            world.remove(name)
        return ["yes" if each else "no" for each in (is_point, is_listed, opens)]


def sealed_alone(place: Place) -> Objects:
    return place.own_point()[0], None


def signed_by_the_thief(place: Place) -> Objects:
    manifest, receipt = place.own_point()
    return manifest, THIEF.sign(receipt)


def signed_by_nobody(place: Place) -> Objects:
    manifest, receipt = place.own_point()
    told = {**place.body(), "body": json.loads(canonical(msgspec.to_builtins(receipt)))}
    return manifest, canonical(told)


def the_thiefs_signature_under_our_key(place: Place) -> Objects:
    manifest, receipt = place.own_point()
    told = json.loads(THIEF.sign(receipt))
    return manifest, canonical({**told, "key": place.body()["key"]})


def of_another_server(place: Place, *, with_keys: bool = False) -> Objects:
    """A true point of the same vault, taken over from where it lies."""
    own, chance = place.written.keys, SeededChance(5)
    pairs = KeyPair.generate(chance), KeyPair.generate(chance)
    other = World(5, keys=Keys(own.recovery, own.signing, *pairs))
    other.lay_ground()
    other.back_up(small_tree(5), FORGED)
    for name, data in memory(other).items():
        if name.startswith("g/") or (with_keys and name.startswith("k/")):
            place.world.blobs.create(name, data)
    manifest, receipt = (memory(other)[f"p/{FORGED}.{k}"] for k in ("manifest", "receipt"))
    return manifest, receipt


def true_point(place: Place) -> Objects:
    manifest, receipt = place.own_point()
    return manifest, place.written.keys.signing.sign(receipt)


def without_its_packs(place: Place) -> Objects:
    """A true point of which nothing but manifest and receipt was put back."""
    found = true_point(place)
    for name in place.world.names(f"g/{FORGED}/"):
        place.world.remove(name)
    return found


def changed(field: str, other: Any) -> Callable[[Place], Objects]:
    """One field of a true receipt, its signature kept."""

    def forge(place: Place) -> Objects:
        told = place.body()
        assert told["body"][field] != other
        told["body"][field] = other
        return place.manifests[0], canonical(told)

    return forge


FORGERIES: dict[str, Callable[[Place], Objects]] = {
    "a manifest that a writer sealed, alone": sealed_alone,
    "with a receipt that the thief signed": signed_by_the_thief,
    "with the thief's signature under our key": the_thiefs_signature_under_our_key,
    "with the signature of another receipt": signed_by_nobody,
    "with the receipt of another point": lambda p: (p.own_point()[0], p.receipts[0]),
    "a true manifest and its receipt, under another name": lambda p: (
        p.manifests[0],
        p.receipts[0],
    ),
    "the manifest of one point, the receipt of another": lambda p: (p.manifests[0], p.receipts[1]),
    "a receipt without a manifest": lambda p: (None, p.receipts[0]),
    "a true manifest without a receipt": lambda p: (p.manifests[0], None),
    "a receipt that is empty": lambda p: (p.manifests[0], b""),
    "cut short": lambda p: (p.manifests[0], p.receipts[0][:-1]),
    "with something behind it": lambda p: (p.manifests[0], p.receipts[0] + b"\n"),
    "with a field more": lambda p: (p.manifests[0], canonical({**p.body(), "more": 1})),
    **{f"whose `{field}` was changed": changed(field, other) for field, other in OTHERS.items()},
}
TRUE: dict[str, Callable[[Place], Objects]] = {
    "a true point whose packs are gone": without_its_packs,
    "a true point of another server": of_another_server,
    "a true point of another server, with its keys": partial(of_another_server, with_keys=True),
    "a true point": true_point,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    home: Path = tmp_path_factory.mktemp("forged")
    with care_world(home) as world:
        place = Place(world)
        return {says: place.see(forge) for says, forge in {**FORGERIES, **TRUE}.items()}


def test_the_page_tells_what_becomes_of_forged_points(table: dict[str, list[str]]) -> None:
    check_table("forged points", COLUMNS, table)


def test_nothing_that_is_forged_is_a_point(table: dict[str, list[str]]) -> None:
    assert len(FORGERIES) >= 25
    assert {tuple(table[says]) for says in FORGERIES} == {("no", "no", "no")}
    assert table["a true point"] == ["yes", "yes", "yes"]
