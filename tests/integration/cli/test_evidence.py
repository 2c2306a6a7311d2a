"""Evidence in files, checked with a key alone: what is genuine, and each way of not being it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from seams import FakeClock, SeededChance
from strongroom.app.evidence import check_files
from strongroom.cli import main
from strongroom.cli.basis.exits import FAILED, NOT_FOUND, OK, USAGE
from strongroom.cli.basis.means import Means
from strongroom.datastore.keys.keys import RecoveryKey
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.statements.certificate import Certificate, sign_certificate
from strongroom.datastore.statements.evidence import Evidence, detail_of, sign_evidence
from strongroom.datastore.statements.receipt import Receipt, SigningKey
from strongroom.model.oversight.audit import canonical

POINT, JOB = "a" * 32, "11111111-2222-3333-4444-555555555555"
OURS, THEIRS = SigningKey(b"o" * 32), SigningKey(b"t" * 32)
KEY = base64.b64encode(OURS.public.raw).decode()
AT = "2026-11-27T02:00:00Z"
FOUND: dict[str, Any] = {"rows": 4, "problems": ["index orders_pkey is odd"], "readySeconds": 1.5}


def evidence(verdict: str = "Failed") -> Evidence:
    counts = dict.fromkeys(
        ("problems", "warnings", "databases", "tables", "rows", "relations_checked"), 1
    )
    counts |= dict.fromkeys(
        ("indexes_checked", "assertions", "assertions_true", "written_bytes", "fetched_bytes"), 2
    )
    return Evidence(
        recovery_point_id=POINT,
        instance_id="i",
        job_id=JOB,
        manifest_blake3=b"m" * 32,
        began_at=AT,
        ended_at=AT,
        verdict=verdict,
        source_version=180001,
        server_version="18.1",
        milliseconds={"ready": 1500},
        detail_blake3=detail_of(FOUND),
        network="None",
        **counts,
    )


def receipt() -> Receipt:
    return Receipt(
        recovery_point_id=POINT,
        instance_id="i",
        vault="v1",
        server="orders",
        taken_at=AT,
        committed_at=AT,
        tag="Default",
        expires_at=AT,
        manifest_size=1,
        manifest_blake3=b"m" * 32,
        packs=[],
    )


def certificate() -> Certificate:
    return Certificate(
        instance_id="i",
        instance="orders",
        vault="v1",
        server="orders",
        shredded_at=AT,
        keys=[],
        points=[],
        objects_deleted=[],
        objects_left=[],
        keys_left=[],
    )


GOOD = sign_evidence(OURS, evidence())


def handed(statement: bytes = GOOD, result: dict[str, Any] | None = None) -> bytes:
    """As the portal hands it out, for people: indented, with what was found beside it."""
    told = {"statement": json.loads(statement), "result": FOUND if result is None else result}
    return json.dumps(told, indent=2).encode()


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Exit code, and what is told as JSON, of one file with this in it."""

    def found(
        capsys: pytest.CaptureFixture[str], text: bytes, name: str = "file.json", key: str = KEY
    ) -> tuple[int, list[dict[str, Any]]]:
        file = tmp_path / name
        file.write_bytes(text)
        code = run("evidence", "check", str(file), "--key", key, "--output", "json")
        return code, json.loads(capsys.readouterr().out)

    return found


def run(*words: str) -> int:
    def no(*_: object) -> Any:
        raise AssertionError

    names = set(Means.__annotations__) - {"clock", "chance", "check_evidence"}
    means = Means(
        clock=FakeClock(),
        chance=SeededChance(),
        check_evidence=check_files,
        **dict.fromkeys(names, no),
    )
    return main.run(main.build(App(name="strongroom")), words, means)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        (f"{POINT}.{JOB}.drill", GOOD, "drill"),
        (f"{POINT}.receipt", OURS.sign(receipt()), "receipt"),
        ("shredded.json", sign_certificate(OURS, certificate()), "certificate"),
        ("drill-orders.json", handed(), "drill"),
        ("drills.json", b"[" + handed() + b"]", "drill"),
        ("drills-of-the-api.json", b'{"value":[{"properties":' + handed() + b"}]}", "drill"),
    ],
)
def test_what_the_key_has_signed_is_genuine_however_it_was_handed_out(
    check: Any, capsys: pytest.CaptureFixture[str], name: str, text: bytes, kind: str
) -> None:
    code, (told,) = check(capsys, text, name)
    assert (code, told["problem"], told["kind"], told["key"]) == (OK, "", kind, KEY)
    assert told["detail"] is (True if b"result" in text else None)


def changed(**fields: object) -> bytes:
    told = json.loads(GOOD)
    told["body"] |= fields
    return canonical(told)


OTHER_KEY = canonical({**json.loads(sign_evidence(THEIRS, evidence("Passed"))), "key": KEY})
TWICE = GOOD.replace(b'{"body":', b'{"body":{"verdict":"Passed"},"body":', 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(changed(verdict="Passed"), "changed after it was signed", id="forged"),
        pytest.param(changed(more=1), "changed after it was signed", id="added to"),
        pytest.param(OTHER_KEY, "changed after it was signed", id="another's, our key in it"),
        pytest.param(sign_evidence(THEIRS, evidence()), "names another key", id="another's"),
        pytest.param(GOOD[:-40], "cut short", id="truncated"),
        pytest.param(b"", "cut short", id="empty"),
        pytest.param(TWICE, "a field twice", id="twice"),
        pytest.param(b"[" * 100_000, "cut short", id="deep"),
        pytest.param(b'{"verdict": "Passed"}', "no signed object", id="unsigned"),
        pytest.param(handed(changed(rows=7)), "changed after it was signed", id="forged within"),
        pytest.param(handed(result={**FOUND, "problems": []}), "told otherwise", id="detail"),
    ],
)
def test_what_is_not_genuine_is_named_with_the_reason(
    check: Any, capsys: pytest.CaptureFixture[str], text: bytes, why: str
) -> None:
    code, (told,) = check(capsys, text)
    assert code == FAILED
    assert why in told["problem"]


def test_a_receipt_is_no_evidence_of_a_drill_and_evidence_of_one_point_none_of_another(
    check: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (told,) = check(capsys, GOOD, f"{'b' * 32}.{JOB}.drill")
    assert (code, told["problem"].partition(":")[0]) == (
        FAILED,
        "it is genuine and belongs elsewhere",
    )
    stolen = json.loads(OURS.sign(receipt()))["signature"]
    code, (told,) = check(capsys, canonical({**json.loads(GOOD), "signature": stolen}))
    assert code == FAILED
    assert "not signed" in told["problem"]


def test_the_key_is_read_from_a_file_of_its_own_or_from_a_recovery_key(
    check: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    public, recovery = tmp_path / "receipt.pub", tmp_path / "recovery.key"
    public.write_text(f"{KEY}\n")
    recovery.write_text(RecoveryKey(KeyPair.generate(SeededChance()), OURS.public).to_text())
    for file in (public, recovery):
        assert check(capsys, GOOD, key=str(file))[0] == OK
    assert run("evidence", "check", str(public), "--key", "abc") == USAGE
    assert run("evidence", "check", str(tmp_path / "none"), "--key", KEY) == NOT_FOUND
    assert run("evidence", "check", "--key", KEY) == USAGE


def test_people_read_what_was_signed_and_a_forger_moves_no_cursor(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(handed())
    bad.write_bytes(changed(recovery_point_id="\x1b[2J", verdict="Passed"))
    assert run("evidence", "check", str(good), str(bad), "--key", KEY) == FAILED
    told = capsys.readouterr()
    assert f"genuine: {good}" in told.out
    assert f"a drill of recovery point {POINT}" in told.out
    assert "Failed, 1 problems" in told.out
    assert f"key {KEY}" in told.out
    assert f"NOT GENUINE: {bad}" in told.out
    assert "\x1b" not in told.out
    assert "2 checked, 1 not genuine" in told.err
