"""What each credential of a storage endpoint can do to what lies there, and what it cannot: S3.

Each cell is a try, after which everything is as it was, unless it was done.
"""

import contextlib
import http.client
import json
import sqlite3
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest

from seams import SystemClock
from security_page import check_table
from store_world import KEY, StoreWorld, a_sas, a_store_world
from strongroom.datastore.places.container import Container, Immutability
from strongroom.model.errors import ObjectMissing
from strongroom.storage.basis.blob import Facts

pytestmark = pytest.mark.S3
READER = bytes(64)
EPOCH = "epoch"
FREE, LOCKED, HELD, RECEIPT = "g/1/free.pack", "g/1/locked.pack", "g/1/held.pack", "p/1.receipt"
OLD = (FREE, LOCKED, HELD, RECEIPT)
ALL = (*OLD, "g/1/new.pack", "p/2.receipt")
DAY = 86_400.0
BLOCK = {"x-ms-blob-type": "BlockBlob"}
ACL = b"<SignedIdentifiers><SignedIdentifier><Id>mine</Id></SignedIdentifier></SignedIdentifiers>"
Query = dict[str, str]

KEYS = {
    "agent": "an agent's signature",
    "restore": "a restore's signature",
    "reader": "the reader key",
    "Disabled": "the account's key, immutability `Disabled`",
    "Unlocked": "the account's key, `Unlocked`",
    "Locked": "the account's key, `Locked`",
}


@dataclass(frozen=True)
class Deed:
    """One request. `days`: so long a new blob of the container stays."""

    says: str
    method: str
    name: str = ""
    query: Query | None = None
    body: bytes = b""
    headers: Query | None = None
    days: int = 0


def lock(days: int) -> Query:
    until = SystemClock().now().add(seconds=days * DAY)
    return {"x-ms-immutability-policy-until-date": until.to_stdlib().strftime(
        "%a, %d %b %Y %H:%M:%S GMT")}  # fmt: skip


def container(comp: str, **more: str) -> Query:
    return {"restype": "container", **({"comp": comp} if comp else {}), **more}


def names(*some: str) -> bytes:
    return json.dumps({"names": some}).encode()


DEEDS = [
    Deed("put a new pack in its own place", "PUT", "g/1/new.pack", None, b"new", BLOCK),
    Deed("put a receipt, or a manifest", "PUT", "p/2.receipt", None, b"new", BLOCK),
    Deed("read a pack, which is sealed", "GET", FREE),
    Deed("list the names", "GET", "", container("list")),
    Deed("write over what lies there", "PUT", FREE, None, b"new", BLOCK),
    Deed("delete what nothing keeps", "DELETE", FREE),
    Deed("delete what is locked", "DELETE", LOCKED),
    Deed("delete what is held for a court", "DELETE", HELD),
    Deed("delete the whole container", "DELETE", "", container("")),
    Deed("have a lock end later", "PUT", "", container("lock"), names(LOCKED), lock(99)),
    Deed("have a lock end sooner", "PUT", "", container("lock"), names(LOCKED), lock(1)),
    Deed("release a lock", "DELETE", "", container("lock", prefix=LOCKED)),
    Deed("hold", "PUT", "", container("hold", prefix=FREE, id="mine")),
    Deed("lift a legal hold", "DELETE", "", container("hold", prefix=HELD, id="court")),
    Deed("turn immutability off", "PUT", "", container("immutability"),
         headers={"x-ms-immutability-policy-mode": "Disabled", "x-strongroom-days": "0"}),
    Deed("have new packs kept for fewer days", "PUT", "", container("immutability"), days=14,
         headers={"x-ms-immutability-policy-mode": "{state}", "x-strongroom-days": "1"}),
    Deed("change what a blob says of itself", "PUT", FREE, {"comp": "metadata"}, b"",
         {"x-ms-meta-a": "b"}),
    Deed("let somebody else in", "PUT", "", container("acl"), ACL),
    Deed("shut an agent out", "DELETE", "", container("identifier", id=EPOCH)),
]  # fmt: skip


class Vault:
    """A container with packs that are free, locked and held, tried with one credential."""

    def __init__(self, world: StoreWorld, name: str, key: str, days: int) -> None:
        self.world, self.name, self.key, self.days = world, name, key, days
        self.state = key if key in {"Disabled", "Unlocked", "Locked"} else "Unlocked"
        self.url = f"{world.url}/{name}"
        self.account = Container(self.url, KEY, SystemClock())
        self.account.ensure()
        for blob in OLD:
            upload = world.store.begin(name, blob, 3)
            upload.write([b"old"])
            world.store.commit(upload, Facts())
        self.account.extend_locks([LOCKED], SystemClock().now().add(seconds=30 * DAY))
        self.account.hold(HELD, "court")
        self.account.give_identifier(EPOCH, 1000)
        self.account.set_immutability(Immutability(self.state, days))

    def send(self, deed: Deed) -> int:
        headers = {
            name: value.format(state=self.state) for name, value in (deed.headers or {}).items()
        }
        if self.key not in {"agent", "restore"}:
            key = READER if self.key == "reader" else KEY
            signed = Container(self.url, key, SystemClock())
            query = deed.query or {}
            return signed._send(
                deed.method, query, deed.body, name=deed.name, headers=headers
            )[0]  # fmt: skip
        sas = a_sas(self.name, "g/1", "d", "c", identifier=EPOCH)
        if self.key == "restore":
            sas = a_sas(self.name, "g/1", "d", "r")
        path = f"/{self.url.split('/', 3)[3]}" + (f"/{quote(deed.name)}" if deed.name else "")
        query_text = "&".join(filter(None, (urlencode(deed.query or {}), sas)))
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=30)
        try:
            connection.request(deed.method, f"{path}?{query_text}", deed.body or None, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def seen(self) -> tuple[object, ...]:
        """All that a deed could change."""
        try:
            book = self.world.store.locks.book(self.name)
        except ObjectMissing:
            return ()
        files = {name: self.world.file(self.name, name) for name in ALL}
        blobs = {
            name: (file.read_bytes(), self.world.store.blob(self.name, name))
            for name, file in files.items()
            if file.exists()
        }
        ledger = f"file:{self.world.root}/.strongroom/ledger.sqlite?mode=ro"
        query = "SELECT id, permissions, quota FROM identifiers WHERE container = ?"
        with contextlib.closing(sqlite3.connect(ledger, uri=True)) as connection:
            access = connection.execute(query, [self.name]).fetchall()
        return blobs, book, sorted(access)

    def try_out(self, deed: Deed) -> str:
        """What comes of it. A refusal leaves everything as it was."""
        before = self.seen()
        status = self.send(deed)
        after = self.seen()
        if status >= 400:
            assert (status, after) == (status, before)
            return "refused"
        if deed.method == "GET":
            return "done"
        return "without effect" if after == before else "done"


@pytest.fixture(scope="module")
def table() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {deed.says: [] for deed in DEEDS}
    with a_store_world(reader_key=READER) as world:
        for column, key in enumerate(KEYS):
            vault = None
            for row, deed in enumerate(DEEDS):
                if vault is None or vault.days != deed.days:
                    vault = Vault(world, f"c{row}-{column}", key, deed.days)
                found[deed.says].append(said := vault.try_out(deed))
                vault = None if said == "done" else vault
    return found


def test_the_page_tells_what_each_key_can_do(table: dict[str, list[str]]) -> None:
    check_table("what a key can do", list(KEYS.values()), table)


def test_no_key_takes_away_what_is_locked_or_held(table: dict[str, list[str]]) -> None:
    columns = list(KEYS)
    for says in ("delete what is held for a court", "write over what lies there"):
        assert set(table[says]) == {"refused"}
    for says in ("delete what is locked", "delete the whole container"):
        assert {columns[n] for n, said in enumerate(table[says]) if said == "done"} <= {"Disabled"}
    for says in ("release a lock", "turn immutability off", "have new packs kept for fewer days"):
        assert table[says][columns.index("Locked")] == "refused"
    assert "done" not in table["have a lock end sooner"]


def test_a_thief_of_a_signature_gets_no_more_than_it_says(table: dict[str, list[str]]) -> None:
    can = {
        key: [says for says, said in table.items() if said[n] == "done"]
        for n, key in enumerate(("agent", "restore", "reader"))
    }
    assert can["agent"] == ["put a new pack in its own place"]
    assert can["restore"] == ["read a pack, which is sealed"]
    assert can["reader"] == ["read a pack, which is sealed", "list the names"]
