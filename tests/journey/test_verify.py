"""Points are proven, damage is named and marked, and the mark goes when it is mended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.servers import Server, start_server
from journey.person import Person

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql("create table t as select g, md5(g::text) from generate_series(1, 50000) g")
        yield found


def packs(person: Person) -> set[Path]:
    return set((person.data / "store" / "strongroom").glob("*/g/*/*.pack"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def by_kind(person: Person) -> dict[str, dict[str, Any]]:
    return {point["kind"]: point for point in person.json("points", "orders")}


def test_a_flipped_bit_is_found_by_name_marked_and_forgiven_when_it_is_mended(
    person: Person, server: Server
) -> None:
    person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
    before = packs(person)
    server.sql("update t set md5 = 'changed' where g % 100 = 0")
    person.ok("backup", "orders")
    pack = max(packs(person) - before, key=lambda path: path.stat().st_size)
    person.ok("backup", "orders", "--logical")
    told = person.json("verify", "orders", "--all")
    assert [each["verified"] for each in told] == [True, True, True]
    assert min(each["bytes"] for each in told) > 100_000
    points = by_kind(person)
    assert points.keys() == {"Full", "Incremental", "Logical"}
    assert all(point["verifiedAt"] for point in points.values())

    flip(pack)
    done = person.run("verify", "orders", "--point", points["Incremental"]["id"])
    assert done.returncode != 0
    assert f"{pack.parent.name}/{pack.name}" in done.stderr
    assert "base/" in done.stderr
    assert "block" in done.stderr
    assert "Take another backup while the server lives" in done.stderr
    damaged = {kind: point["facts"].get("damaged") for kind, point in by_kind(person).items()}
    name = f"g/{pack.parent.name}/{pack.name}"
    assert damaged == {"Full": None, "Incremental": [name], "Logical": None}
    assert "is damaged in storage" in person.run("doctor").stdout
    person.ok("verify", "orders", "--point", points["Full"]["id"])

    flip(pack)
    person.ok("verify", "orders", "--point", points["Incremental"]["id"])
    assert "damaged" not in by_kind(person)["Incremental"]["facts"]
    assert person.ok("doctor") == "nothing is wrong\n"
