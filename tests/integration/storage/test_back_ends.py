"""A store whose blobs lie in a bucket: the provider's own locks, crashes, outages, refusals.

What clients see is asked of every back end in tests/contract/test_storage_obstore.py.
"""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from botocore.exceptions import ClientError
from whenever import Instant

import azure_versions as azure
import store_world
from azure_versions import azure_versions
from back_end_world import KINDS, BackEnds, back_ends
from faulty_disk import PowerLoss
from seams import SystemChance, SystemClock
from strongroom.app.store_options import back_end_in
from strongroom.cli.installation.bucket import wrong_with_bucket
from strongroom.model.errors import (
    Conflict,
    Corrupt,
    Invalid,
    Locked,
    ObjectExists,
    ObjectMissing,
    Precondition,
    StoreUnavailable,
)
from strongroom.storage.back_ends.adopting import HOLD
from strongroom.storage.back_ends.back_end import NativeLock
from strongroom.storage.basis.blob import Blob
from strongroom.storage.basis.settings import BackEndSettings, StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.ledger.locks import Immutability
from strongroom.storage.upkeep.upkeep import Upkeep

NAME = "g/generation/pack.pack"
DATA = bytes(range(256)) * 40
NEVER = threading.Event()


@pytest.fixture(scope="module")
def s3() -> Iterator[BackEnds]:
    with back_ends("s3") as found:
        yield found


@pytest.fixture(scope="module", params=KINDS)
def places(request: pytest.FixtureRequest) -> Iterator[BackEnds]:
    with back_ends(request.param) as found:
        yield found


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="back-end-"))
    yield path
    shutil.rmtree(path)


def settings_of(root: Path, back_end: BackEndSettings | None) -> StoreSettings:
    key = b"k" * 64
    return StoreSettings(
        root=root, account="strongroom", account_key=key, reserve_bytes=0, back_end=back_end
    )


def opened(root: Path, back_end: BackEndSettings | None) -> BlobStore:
    return open_store(settings_of(root, back_end), SystemClock(), SystemChance())


@pytest.fixture
def vault(s3: BackEnds, root: Path) -> Iterator["Vault"]:
    """A store with a container, in a bucket with Object Lock."""
    place = s3.new()
    with closing(opened(root, place)) as store:
        store.create_container("cont", {})
        yield Vault(store, s3.client, place)


class Vault:
    def __init__(self, store: BlobStore, client: Any, place: BackEndSettings) -> None:
        self.store = store
        self.client = client
        self.place = place

    def at(self, name: str = NAME) -> dict[str, str]:
        blob = self.store.blob("cont", name)
        key = f"{self.place.prefix}cont/{name}"
        return {"Bucket": self.place.container, "Key": key, "VersionId": blob.version}

    def lock(self, name: str = NAME) -> tuple[str | None, Instant | None, str | None]:
        """Mode, date and hold, as the provider tells its owner."""
        found = self.client.head_object(**self.at(name))
        until = found.get("ObjectLockRetainUntilDate")
        return (
            found.get("ObjectLockMode"),
            None if until is None else Instant(until),
            found.get("ObjectLockLegalHoldStatus"),
        )

    def follow(self) -> None:
        assert self.store.native is not None
        self.store.native.follow(NEVER)
        assert self.store.native.waiting() == 0


def put(store: BlobStore, name: str = NAME, data: bytes = DATA) -> Blob:
    return store_world.put(store, name, data)


def bytes_of(store: BlobStore, name: str = NAME) -> bytes | None:
    try:
        blob = store.blob("cont", name)
    except ObjectMissing:
        return None
    with closing(store.open(blob)) as reading:
        return reading.read(blob.size + 1)


def in_days(days: int) -> Instant:
    return SystemClock().now().add(hours=24 * days)


def test_a_blob_is_kept_by_the_provider_from_its_first_moment_on(vault: Vault) -> None:
    vault.store.locks.set_immutability("cont", Immutability("Locked", 14))
    put(vault.store)
    mode, until, hold = vault.lock()
    assert (mode, hold) == ("COMPLIANCE", None)
    assert in_days(14) <= until <= in_days(15)


def test_the_accounts_own_keys_delete_no_locked_version_and_hide_nothing(vault: Vault) -> None:
    vault.store.locks.set_immutability("cont", Immutability("Locked", 14))
    put(vault.store)
    for bypass in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError, match="AccessDenied"):
            vault.client.delete_object(**vault.at(), **bypass)
    plain = {name: value for name, value in vault.at().items() if name != "VersionId"}
    vault.client.delete_object(**plain)  # a delete marker: anyone with the keys can leave one
    vault.client.put_object(**plain, Body=b"something else")
    assert bytes_of(vault.store) == DATA
    assert vault.store.looking.digests("cont", [NAME])[0].blake3 == blake3(DATA).digest()


def test_a_lock_that_is_extended_is_extended_there_in_whole_days(vault: Vault) -> None:
    vault.store.locks.set_immutability("cont", Immutability("Locked", 14))
    names = [f"g/1/{number}.pack" for number in range(3)]
    for name in [*names, "g/2/other.pack"]:
        put(vault.store, name)
    other = vault.lock("g/2/other.pack")
    vault.store.locks.extend("cont", ["g/1/"], in_days(40))
    assert vault.store.native.waiting() > 0
    vault.follow()
    for name in names:
        mode, until, _ = vault.lock(name)
        assert mode == "COMPLIANCE"
        assert in_days(40) <= until <= in_days(41)
        assert until.timestamp() % 86_400 == 0
    assert vault.lock("g/2/other.pack") == other


def test_a_manifest_that_was_locked_before_it_was_put_is_kept_by_then(vault: Vault) -> None:
    vault.store.locks.set_immutability("cont", Immutability("Locked", 1))
    vault.store.locks.extend("cont", ["p/1.manifest"], in_days(100))
    put(vault.store, "p/1.manifest")
    assert vault.lock("p/1.manifest")[1] >= in_days(99)


def test_an_unlocked_container_keeps_by_governance_and_a_locked_one_for_good(
    vault: Vault,
) -> None:
    put(vault.store)
    assert vault.lock() == (None, None, None)
    vault.store.locks.extend("cont", [NAME], in_days(30))
    vault.follow()
    assert vault.lock() == (None, None, None)  # Disabled: it is only written down
    vault.store.locks.set_immutability("cont", Immutability("Unlocked", 0))
    vault.follow()
    assert vault.lock()[0] == "GOVERNANCE"
    vault.store.locks.set_immutability("cont", Immutability("Locked", 0))
    vault.follow()
    assert vault.lock()[0] == "COMPLIANCE"


def test_a_hold_is_a_legal_hold_there_and_ends_with_the_last(vault: Vault) -> None:
    put(vault.store)
    for hold in ("case-1", "case-2"):
        vault.store.locks.hold("cont", "g/", hold)
    put(vault.store, "g/late.pack")
    assert vault.lock("g/late.pack")[2] == "ON"
    vault.follow()
    assert vault.lock()[2] == "ON"
    with pytest.raises(Locked):
        vault.store.delete("cont", NAME, "test")
    vault.store.locks.lift("cont", "g/", "case-1")
    vault.follow()
    assert vault.lock()[2] == "ON"
    vault.store.locks.lift("cont", "g/", "case-2")
    vault.follow()
    assert vault.lock()[2] == "OFF"


def test_what_the_ledger_lets_go_of_is_deleted_past_governance(vault: Vault) -> None:
    vault.store.locks.set_immutability("cont", Immutability("Unlocked", 14))
    put(vault.store)
    at = vault.at()
    with pytest.raises(Locked):
        vault.store.delete("cont", NAME, "test")
    vault.store.locks.set_immutability("cont", Immutability("Disabled", 0))
    vault.store.delete("cont", NAME, "test")
    with pytest.raises(ClientError, match="404"):
        vault.client.head_object(**at)
    assert vault.store.unfinished() == (0, 0)
    put(vault.store)  # and the name is free again
    assert bytes_of(vault.store) == DATA


def test_what_the_provider_keeps_longer_is_locked_and_stays_whole(vault: Vault) -> None:
    put(vault.store)
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": in_days(9).to_stdlib()}
    vault.client.put_object_retention(**vault.at(), Retention=retention)
    with pytest.raises(Locked, match="provider") as caught:
        vault.store.delete("cont", NAME, "test")
    assert Instant.parse_iso(caught.value.facts["until"]) > in_days(8)
    assert bytes_of(vault.store) == DATA


class SteppedBucket:
    """The real one; at step `at` it is asked, or answers, too late."""

    def __init__(self, bucket: Any, at: int = 0, when: str = "", error: Any = PowerLoss) -> None:
        self.steps: list[str] = []
        self._bucket = bucket
        self._at = at
        self._when = when
        self._error = error

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._bucket, name)
        if not callable(found) or name == "close":
            return found
        return lambda *args: self._step(name, found, args)

    def _step(self, name: str, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self.steps.append(name)
        if len(self.steps) == self._at and self._when == "before":
            raise self._error("told to")
        answer = call(*args)
        if len(self.steps) == self._at and self._when == "after":
            raise self._error("told to")
        return answer


def stepped(store: BlobStore, *how: Any) -> SteppedBucket:
    found = SteppedBucket(store._back_end._bucket, *how)
    store._back_end._bucket = found
    return found


def delete(store: BlobStore) -> Blob:
    return store.delete("cont", NAME, "test")


def dies_after(number: int, work: Callable[[BlobStore], Blob], store: BlobStore) -> bool:
    """Whether the work had so many steps at the provider."""
    stepped(store, number, "after")
    try:
        work(store)
    except PowerLoss:
        return True
    return False


def test_whatever_dies_when_a_blob_is_whole_or_absent_in_a_bucket_too(
    places: BackEnds, root: Path
) -> None:
    died = []
    for work in (put, delete):
        for number in range(1, 9):
            home, place = root / f"{work.__name__}-{number}", places.new()
            with closing(opened(home, place)) as store:
                store.create_container("cont", {})
                if work is delete:
                    put(store)
                if not dies_after(number, work, store):
                    break
            died.append(work)
            with closing(opened(home, place)) as store:
                assert store.unfinished() == (0, 0)
                assert [path.name for path in (home / ".strongroom/incoming").iterdir()] == []
                found = bytes_of(store)
                assert found in ((DATA,) if work is put else (None, DATA))
                if found is None:
                    put(store)
                with pytest.raises(ObjectExists):
                    put(store)
                assert store.looking.digests("cont", [NAME])[0].state == "ok"
                delete(store)
                assert bytes_of(store) is None
    assert died.count(put) >= 2
    assert died.count(delete) >= 2


def test_what_was_committed_while_the_provider_was_away_is_put_later_and_counts_only_then(
    places: BackEnds, root: Path
) -> None:
    place = places.new()
    with closing(opened(root, place)) as store:
        store.create_container("cont", {})
        upkeep = Upkeep(store, settings_of(root, place), SystemClock())
        bucket = store._back_end._bucket
        stepped(store, 1, "before", StoreUnavailable)
        with pytest.raises(StoreUnavailable):
            put(store)
        assert store.unfinished() == (1, 0)
        assert bytes_of(store) == DATA
        for work in (upkeep.look, lambda: store.looking.digests("cont", [NAME])):
            store._back_end._bucket = SteppedBucket(bucket, 1, "before", StoreUnavailable)
            with contextlib.suppress(StoreUnavailable):
                work()
            assert store.unfinished() == (1, 0)
        facts = [fact for fact, _ in wrong_with_bucket(root)]
        assert any("1 objects to be put" in fact for fact in facts)
        assert any("keeps nothing by itself" in fact for fact in facts) == (places.kind == "azure")
        store._back_end._bucket = bucket
        upkeep.look()
        assert upkeep.told()["behindSince"] is None
        assert store.looking.digests("cont", [NAME])[0].state == "ok"
        assert [path.name for path in (root / ".strongroom/incoming").iterdir()] == []
    assert len(list(wrong_with_bucket(root))) == (1 if places.kind == "azure" else 0)


def test_what_goes_missing_or_changes_in_a_bucket_is_found(places: BackEnds, root: Path) -> None:
    place = places.new(locks=False)
    with closing(opened(root, place)) as store:
        store.create_container("cont", {})
        for name in ("gone", "other", "longer", "well"):
            put(store, name)
        key = f"{place.prefix}cont/"
        other, longer = bytes(len(DATA)), DATA + b"x"
        if places.kind == "s3":
            places.client.delete_object(Bucket=place.container, Key=f"{key}gone")
            for name, body in (("other", other), ("longer", longer)):
                places.client.put_object(Bucket=place.container, Key=key + name, Body=body)
        else:
            container = places.client.get_container_client(place.container)
            container.delete_blob(f"{key}gone")
            for name, body in (("other", other), ("longer", longer)):
                container.upload_blob(key + name, body, overwrite=True)
        states = {finding.name: finding.state for finding in store.looking.scrub(10)}
        corrupt = dict.fromkeys(("gone", "other", "longer"), "corrupt")
        assert states == {**corrupt, "well": "ok"}
        assert store.looking.damaged("cont") == ["gone", "longer", "other"]
        for name in ("gone", "longer"):
            with pytest.raises(Corrupt):
                store.open(store.blob("cont", name))


def test_a_place_without_locks_is_refused_unless_somebody_says_that_it_will_do(
    places: BackEnds, root: Path
) -> None:
    place = replace(places.new(locks=False), without_native_locks=False)
    with pytest.raises(Precondition, match=r"Lock|immutability") as caught:
        opened(root, place)
    assert "without-native-locks" in caught.value.hint
    with closing(opened(root, replace(place, without_native_locks=True))) as store:
        store.create_container("cont", {})
        store.locks.set_immutability("cont", Immutability("Locked", 14))
        put(store)
        with pytest.raises(Locked):
            store.delete("cont", NAME, "test")


def test_a_place_that_is_not_there_or_another_stores_is_refused(
    places: BackEnds, root: Path
) -> None:
    place = places.new()
    missing = replace(place, url=place.url.replace(place.container, "nowhere"))
    with pytest.raises(Precondition, match="cannot be used"):
        opened(root / "1", missing)
    opened(root / "2", place).close()
    with pytest.raises(Conflict, match="another store") as caught:
        opened(root / "3", place)  # such as one whose ledger was lost
    assert "Bring back" in caught.value.hint
    with pytest.raises(Conflict, match="not on its disk"):
        opened(root / "2", None)
    opened(root / "4", None).close()
    with pytest.raises(Conflict, match="lie on its disk"):
        opened(root / "4", place)
    opened(root / "2", place).close()


@pytest.mark.parametrize("places", ["azure"], indirect=True)
def test_azurite_takes_a_policy_and_keeps_none_and_that_is_noticed(
    places: BackEnds, root: Path
) -> None:
    place = places.new()
    with closing(opened(root, place)) as store:
        store.create_container("cont", {})
        blob = put(store)
        back_end = store._back_end
        source = root / "source"
        source.write_bytes(DATA)
        wanted = NativeLock(in_days(3), is_final=True)
        with pytest.raises(StoreUnavailable, match="APINotImplemented"):
            back_end.put(source, replace(blob, name="other"), wanted)
        with pytest.raises(StoreUnavailable, match="APINotImplemented"):
            back_end.keep(store.blob("cont", NAME), replace(wanted, is_held=True))
    wrong = replace(place, secrets={"AZURE_STORAGE_KEY": "AAAA"})
    with pytest.raises(Precondition, match="refuses"):
        opened(root, wrong)


def test_a_back_end_is_named_in_a_file_that_its_owner_alone_may_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "back-end.toml"
    assert back_end_in(file, needed=False) is None
    with pytest.raises(Invalid, match="no file"):
        back_end_in(file, needed=True)
    file.write_text('url = "azure://account/cont/a/b/"\n[secrets]\nAWS_REGION = "eu-1"\n')
    file.chmod(0o644)
    with pytest.raises(Precondition, match="read by others"):
        back_end_in(file, needed=True)
    file.chmod(0o600)
    monkeypatch.setenv("AZURE_STORAGE_KEY", "from-the-environment")
    found = back_end_in(file, needed=True)
    assert found is not None
    told = (found.kind, found.account, found.container, found.prefix)
    assert told == ("azure", "account", "cont", "a/b/")
    assert dict(found.secrets) == {
        "AZURE_STORAGE_KEY": "from-the-environment",
        "AWS_REGION": "eu-1",
    }
    assert "from-the-environment" not in repr(found)
    for text, wrong in (
        ('url = "s3://b"\nuri = "x"', "cannot be read"),
        ('url = "gs://b"', "no back end"),
        ('url = "azure://account"', "no back end"),
        ('url = "s3://b//c"', "no back end"),
        ('url = "s3://b"\nendpoint = "http://elsewhere:9000"', "in the clear"),
    ):
        file.write_text(text)
        with pytest.raises(Invalid, match=wrong):
            back_end_in(file, needed=True)


def test_azures_policies_on_versions_keep_extend_and_let_go(root: Path) -> None:
    with azure_versions() as there:
        secrets = {"AZURE_STORAGE_KEY": "AAAA"}
        place = BackEndSettings(
            url="azure://account/cont/pre", endpoint=there.url, secrets=secrets
        )
        with closing(opened(root, place)) as store:
            store.create_container("cont", {})
            put(store, "free")
            store.locks.set_immutability("cont", Immutability("Unlocked", 14))
            put(store)
            key = f"pre/cont/{NAME}"
            (version,) = there.versions[key]
            first = dict(version.headers)
            assert first[azure.MODE] == "unlocked"
            store.locks.set_immutability("cont", Immutability("Locked", 14))
            store.locks.extend("cont", ["g/"], in_days(40))
            store.locks.hold("cont", "g/", "case")
            assert store.native is not None
            store.native.follow(NEVER)
            assert store.native.waiting() == 0
            assert version.headers[azure.MODE] == "locked"
            assert version.headers[azure.HELD] == "true"
            assert parsedate_to_datetime(version.headers[azure.UNTIL]) >= in_days(40).to_stdlib()
            del there.current[key]  # deleted by the account's key: a version like others now
            there.put(key, b"something else", {})
            assert bytes_of(store) == DATA
            with closing(store.open(store.blob("cont", NAME), 10, 5)) as reading:
                assert reading.read(100) == DATA[10:15]
            store.locks.lift("cont", "g/", "case")
            store.native.follow(NEVER)
            assert version.headers[azure.HELD] == "false"
            with pytest.raises(Locked):
                store.delete("cont", NAME, "test")
        with closing(opened(root / "2", replace(place, url="azure://account/cont/2"))) as store:
            store.create_container("cont", {})
            store.locks.set_immutability("cont", Immutability("Unlocked", 14))
            put(store)
            store.locks.set_immutability("cont", Immutability("Disabled", 0))
            assert dies_after(1, lambda each: put(each, "twice"), store)
            store.delete("cont", NAME, "test")
            assert there.versions[f"2/cont/{NAME}"] == []
        with closing(opened(root / "2", replace(place, url="azure://account/cont/2"))) as store:
            assert bytes_of(store, "twice") == DATA
            assert len(there.versions["2/cont/twice"]) == 1


def test_a_ledger_that_was_lost_is_made_anew_from_the_bucket_when_asked(
    places: BackEnds, root: Path
) -> None:
    place = places.new()
    with closing(opened(root / "lost", place)) as store:
        store.create_container("cont", {})
        store.create_container("free", {})
        store.locks.set_immutability("cont", Immutability("Locked", 14))
        put(store)
        put(store, "g/held.pack", b"")
        if store.native is not None:
            store.locks.hold("cont", "g/held.pack", "case")
            store.native.follow(NEVER)
    key = f"{place.prefix}cont/{NAME}"
    if places.kind == "s3":  # what a thief of the keys has put since is not taken for ours
        forged = {"strongroom-blake3": blake3(b"forged").hexdigest()}
        places.client.put_object(Bucket=place.container, Key=key, Body=b"forged", Metadata=forged)
        places.client.put_object(Bucket=place.container, Key=f"{place.prefix}cont/x", Body=b"x")
    with closing(opened(root / "new", replace(place, adopt=True))) as store:
        assert bytes_of(store) == DATA
        assert bytes_of(store, "g/held.pack") == b""
        assert [each.state for each in store.looking.digests("cont", [NAME, "x"])] == [
            "ok",
            "missing",
        ]
        assert {each.state for each in store.looking.scrub(10)} == {"ok"}
        with pytest.raises(ObjectExists):
            put(store)
        if places.kind == "s3":
            book = store.locks.book("cont")
            assert book.immutability.state == "Locked"
            assert book.locks[NAME] >= in_days(13)
            assert book.holds == [("g/held.pack", HOLD)]
            with pytest.raises(Locked):
                store.delete("cont", NAME, "test")
    with closing(opened(root / "new", place)) as store:
        put(store, "after")
