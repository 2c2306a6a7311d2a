"""Files into containers and buckets, as real emulators: streamed, create-only, read again."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from file_places import KINDS, AzurePlace, Place, Places, places
from guide import follow
from integration.servers import Server, start_server
from logical import INSTANCE, Dumps, dumps
from seams import SystemChance, SystemClock
from strongroom.agent.files.azure_target import AzureTarget
from strongroom.agent.files.look_at import look_at
from strongroom.agent.files.s3_target import S3Target
from strongroom.agent.files.targets import FileTarget
from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import (
    LeaseLost,
    ObjectExists,
    StoreDenied,
    TargetNotEmpty,
    TargetRefused,
    VaultError,
)
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.operation import Lease, Progress, StorageAccess
from strongroom.model.work.plan import FilesLook, LookOrder

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    with start_server(15) as server:
        server.sql("create database shop", "create database a_small_one")
        server.sql(
            "create table item as select n, (select string_agg(md5((n * m)::text), '') "
            "from generate_series(1, 90) m) as note from generate_series(1, 7000) n",
            database="shop",
        )
        yield server


@pytest.fixture(scope="module")
def fresh() -> Iterator[Server]:
    with start_server(15) as server:
        yield server


@pytest.fixture(scope="module")
def made(source) -> Iterator[Dumps]:
    with dumps() as made:
        made.dump(source.conninfo)
        yield made


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> Iterator[Places]:
    with places(request.param) as found:
        yield found


def an_order(made: Dumps, job: str, place: Place, **more: str) -> ExtractOrder:
    return made.extract_order(job, target_url=place.url, target_endpoint=place.endpoint, **more)


def an_access(sas: str) -> StorageAccess:
    url = f"http://127.0.0.1:1/strongroom/{INSTANCE}"
    return StorageAccess(container_url=url, sas={"files": sas}, expires_at="")


class DiesAt(HeldLease):
    """Whose agent loses its lease as a step is told."""

    note = ""

    def tell(self, progress: Progress) -> None:
        if self.note and progress.note == self.note:
            raise LeaseLost("the agent is no more")
        super().tell(progress)


def test_all_files_are_streamed_to_a_place_and_restored_from_there(
    kind, source, fresh, made, tmp_path
):
    place = kind.new()
    order = an_order(made, "all", place, file_prefix="p")
    told = made.extract(order, access=an_access(place.sas))
    assert told.directory == place.url
    names = place.names()
    assert {"p_database_shop.sql", "p_roles.sql", "p_schema.sql", "p_RESTORE.md"} < set(names)
    manifest = json.loads(place.get("p_manifest.json"))
    listed = {file["name"]: file for file in manifest["files"]}
    assert set(names) == {*listed, "p_SHA256SUMS", "p_manifest.json"}
    for name in names:
        (tmp_path / name).write_bytes(place.get(name))
    for name, file in listed.items():
        data = (tmp_path / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"])
    assert listed["p_database_shop.sql"]["size"] > 2 * (8 << 20)  # more parts than one
    follow(tmp_path / "p_RESTORE.md", fresh)
    assert fresh.digests("shop") == source.digests("shop")
    fresh.sql("drop database shop", "drop database a_small_one")


def test_an_attempt_that_died_is_gone_on_with_and_nothing_is_written_twice(kind, made):
    place = kind.new()
    order = an_order(made, "dies", place)
    dying = made.lease(order, access=an_access(place.sas), kind=DiesAt)
    dying.note = "database shop"
    with pytest.raises(LeaseLost):
        made.extract(order, held=dying)
    before = place.names()
    assert "database_a_small_one.sql" in before
    assert not {"database_shop.sql", "manifest.json"} & set(before)
    first = made.extract(order, access=an_access(place.sas))
    after = place.names()
    assert before.items() <= after.items()
    assert "database_shop.sql" in after
    again = made.extract(order, access=an_access(place.sas))
    assert again == first
    assert place.names() == after


def test_what_lies_there_is_never_written_over(kind, made):
    place = kind.new()
    place.put("p_database_shop.sql", b"precious")
    before = place.names()
    order = an_order(made, "full", place, file_prefix="p")
    with pytest.raises(TargetNotEmpty, match="p_database_shop"):
        made.extract(order, access=an_access(place.sas))
    assert place.names() == before
    assert place.get("p_database_shop.sql") == b"precious"


@pytest.mark.parametrize("size", [1, 9 << 20])
def test_of_two_that_write_one_name_the_first_one_wins(kind, size):
    place = kind.new()
    with (
        closing(_target(kind, place, "slow")) as slow,
        closing(_target(kind, place, "quick")) as quick,
    ):
        with pytest.raises(ObjectExists):
            _write_after(slow, b"s" * size, quick, b"q" * size)
        assert b"".join(bytes(piece) for piece in quick.read("x")) == b"q" * size
        assert quick.holds("x")
        with pytest.raises(TargetNotEmpty):
            slow.holds("x")
        assert place.unfinished() == []


def test_what_cannot_be_opened_is_said_without_a_word_of_the_signature(made, kind):
    place = kind.new()
    errors: list[VaultError] = []
    gone = f"{place.url}-gone" if place.sas else "s3://no-such-bucket/x"
    order = made.extract_order("gone", target_url=gone, target_endpoint=place.endpoint)
    with pytest.raises((TargetRefused, StoreDenied)) as told:
        made.extract(order, access=an_access(place.sas))
    errors.append(told.value)
    if place.sas:
        with pytest.raises(StoreDenied) as told:
            made.extract(an_order(made, "bad", place), access=an_access(_forged(place.sas)))
        errors.append(told.value)
    for error in errors:
        words = json.dumps(error.to_dict())
        assert place.url[:20] in words or "s3://" in words
        assert "sig" not in words.replace("signature", "").replace("signs", "")


def test_a_look_tells_what_files_would_run_into_and_leaves_nothing(kind):
    place = kind.new()
    assert seen(place) is None
    assert (place.names(), place.unfinished()) == ({}, [])
    place.put("p_roles.sql", b"precious")
    told = seen(place)
    assert told["kind"] == "TargetNotEmpty"
    assert "p_roles.sql" in told["message"]
    if not place.sas:
        assert seen(place, "s3://no-such-bucket/x")["kind"] == "TargetRefused"
        return
    told = [
        seen(place, f"{place.url}-gone"),
        seen(place, sas=_forged(place.sas)),
        seen(place, sas=_to_read_alone(place)),
        seen(place, "http://127.0.0.1:1/acct/out"),
    ]
    kinds = [each["kind"] for each in told]
    assert kinds[0] in {"TargetRefused", "StoreDenied"}
    assert kinds[1:] == ["StoreDenied", "StoreDenied", "StoreUnavailable"]
    assert "sig=" not in json.dumps(told)


def _to_read_alone(place: AzurePlace) -> str:
    client = place.client
    return generate_container_sas(
        client.account_name,
        client.container_name,
        account_key=client.credential.account_key,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )


def seen(place: Place, url: str = "", sas: str = "") -> dict[str, Any] | None:
    """What an agent says that looks where two files of a restore would be left."""
    names = ["p_manifest.json", "p_roles.sql"]
    look = FilesLook(url=url or place.url, endpoint=place.endpoint, names=names)
    order = LookOrder(places=[], files=look)
    lease = Lease(operation_id="look", epoch=1, look=order, access=an_access(sas or place.sas))
    done = look_at(HeldLease(None, lease, SystemClock(), 5.0), Path, SystemChance())
    assert done.look is not None
    return done.look.files


def _forged(sas: str) -> str:
    """The same words under a signature that nobody made."""
    words = dict(parse_qsl(sas))
    return urlencode({**words, "sig": "A" * 43 + "="})


def _write_after(slow: FileTarget, late: bytes, quick: FileTarget, early: bytes) -> None:
    """One begins before the other, and ends after it."""
    with slow.create("x") as write_late:
        write_late(late)
        with quick.create("x") as write_early:
            write_early(early)


def _target(kind: Places, place: Place, job: str) -> FileTarget:
    lease = Lease(operation_id=job, epoch=1, access=an_access(place.sas))
    held = HeldLease(None, lease, SystemClock(), 5.0)
    if kind.kind == "s3":
        return S3Target(held, place.url, place.endpoint, job)
    return AzureTarget(held, place.url, job, SystemChance())
