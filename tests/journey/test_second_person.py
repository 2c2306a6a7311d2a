"""Two people at a shell: what one may not do alone, and who did what in the end."""

import base64
import json
import stat
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from journey.person import Person

pytestmark = pytest.mark.journey
DENIED = 4


@pytest.fixture(scope="module")
def anna(person: Person) -> Person:
    """She may approve, and nothing else."""
    person.ok("policy", "create", "weekly")
    person.ok("guard", "create", "second-person")
    refused = person.run("guard", "protect", "second-person")
    assert "nobody but" in refused.stderr
    person.ok("principal", "add", "anna", "--to", str(person.home / "anna"), "--approver")
    found = Person(person.home)
    found.data = person.home / "anna"
    before = (found.data / "connection.json").read_text()
    found.ok("principal", "renew")
    assert (found.data / "connection.json").read_text() != before
    person.ok("guard", "protect", "second-person")
    return found


def files(place: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}


def test_what_somebody_signs_in_with_is_theirs_alone_and_opens_no_storage(anna: Person):
    assert files(anna.data) == {"ca.pem": 0o600, "connection.json": 0o600}
    assert json.loads((anna.data / "connection.json").read_text())["blobKey"] == ""


def test_one_person_alone_unlocks_nothing_and_two_do(person: Person, anna: Person):
    person.ok("vault", "set", "--immutability", "unlocked")
    refused = person.run("vault", "set", "--immutability", "disabled")
    assert refused.returncode == DENIED
    (waiting,) = anna.json("approve", "list")
    assert waiting["id"] in refused.stderr
    assert person.run("approve", "grant", waiting["id"]).returncode == DENIED
    assert person.run("vault", "set", "--immutability", "disabled").returncode == DENIED
    assert "unlock or disable immutability" in anna.ok("approve", "list")
    told = anna.ok("approve", "grant", waiting["id"], "--hours", "1")
    assert "Granted" in told
    person.ok("vault", "set", "--immutability", "disabled")
    (spent,) = person.json("approve", "list", "--all")
    assert spent["state"] == "Used"


def test_a_guard_goes_with_its_approval_alone(person: Person, anna: Person):
    assert person.run("guard", "release").returncode == DENIED
    waiting = [each for each in anna.json("approve", "list") if "guard" in each["words"]]
    anna.ok("approve", "deny", waiting[0]["id"])
    assert person.run("guard", "release").returncode == DENIED
    (again,) = [each for each in anna.json("approve", "list") if "guard" in each["words"]]
    assert again["id"] != waiting[0]["id"]
    assert "the vault stands under it" in person.ok("guard", "list")


def test_an_export_can_be_checked_without_us(person: Person, anna: Person):
    """By the words of docs/operations.md alone."""
    lines = (person.data / "recovery.key").read_text().splitlines()
    told = dict(line.split(" ", 1) for line in lines[1:])
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(told["verify"]))
    previous = bytes(32)
    names = ["sequence", "at", "actor", "address", "action", "target", "detail", "before", "after"]
    for line in person.ok("audit", "export").splitlines():
        record = json.loads(line)
        fields = {name: record[name] for name in names}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        digest = blake3(previous + text.encode()).digest()
        assert record["digest"] == digest.hex()
        key.verify(bytes.fromhex(record["signature"]), b"strongroom-audit-1\n" + digest)
        previous = digest


def test_the_audit_is_whole_and_says_who_did_what(person: Person, anna: Person):
    assert "0 problems" in person.ok("audit", "verify")
    place = person.home / "audit.jsonl"
    person.ok("audit", "export", "--to", str(place))
    records = [json.loads(line) for line in place.read_text().splitlines()]
    assert [r["sequence"] for r in records] == list(range(1, len(records) + 1))
    (granted,) = [r for r in records if r["action"] == "approval/grant"]
    (used,) = [r for r in records if r["action"] == "approval/use"]
    assert granted["actor"] == used["detail"]["approvedBy"] != used["actor"]
    assert {granted["address"], used["address"]} == {"127.0.0.1"}
    changes = [r for r in records if r["action"] == "vault/change"]
    states = [
        r[side]["settings"]["securitySettings"]["immutabilitySettings"]["state"]
        for r in changes[-1:]
        for side in ("before", "after")
    ]
    assert states == ["Unlocked", "Disabled"]
    assert sum(r["action"] == "approval/refuse" for r in records) == 5
    names = {row["name"] for row in person.json("principal", "list")}
    assert names == {"admin", "administrator", "anna"}  # the first signs in to the portal
