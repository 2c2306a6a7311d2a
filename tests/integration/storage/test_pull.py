"""A second endpoint that fills itself from the first, and outlives it."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient
from structlog.testing import capture_logs

from authority import Authority
from faulty_disk import PowerLoss
from journey.world import until
from ports import free_port
from seams import FakeClock, SystemChance, SystemClock
from store_world import ACCOUNT, StoreWorld, a_sas, a_store_world
from strongroom.model.errors import StoreDenied, StoreUnavailable
from strongroom.storage.basis.blob import Asked
from strongroom.storage.basis.settings import PullSettings, StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.ledger.locks import Immutability
from strongroom.storage.upkeep.pulling import Pull
from strongroom.storage.upkeep.source import Source

READER = bytes(range(100, 164))
OWN_KEY = bytes(64)
DAY = 86_400.0


class Second:
    """The second store, in this process; its pull goes pass by pass."""

    def __init__(self, root: Path, url: str, reader: bytes = READER) -> None:
        self.clock = FakeClock()
        self.clock.set(SystemClock().now().format_iso())
        self.root = root
        self.open()
        self.pull_from(url, reader)

    def open(self) -> None:
        chosen = StoreSettings(
            root=self.root, account=ACCOUNT, account_key=OWN_KEY, reserve_bytes=0
        )
        self.store: BlobStore = open_store(chosen, self.clock, SystemChance())

    def pull_from(self, url: str, reader: bytes = READER) -> None:
        chosen = PullSettings(url=url, key=reader)
        self.pull = Pull(self.store, Source(chosen, SystemClock()), chosen, self.clock)

    def names(self, container: str = "cont") -> list[str]:
        return [blob.name for blob in self.store.page(container, Asked()).blobs]

    def holds(self) -> set[tuple[str, str]]:
        return {*self.store.locks.book("cont").holds}

    def bytes_of(self, root: Path, name: str) -> bytes:
        return (root / ACCOUNT / "cont" / name).read_bytes()


@pytest.fixture
def first() -> Iterator[StoreWorld]:
    with a_store_world(reader_key=READER) as world:
        world.azure().create_container("cont")
        yield world


@pytest.fixture
def second(first: StoreWorld, tmp_path: Path) -> Iterator[Second]:
    made = Second(tmp_path / "second", first.url)
    yield made
    made.store.close()


def put(first: StoreWorld, name: str, data: bytes = b"x") -> None:
    first.azure().get_blob_client("cont", name).upload_blob(data)


def test_all_that_is_at_the_first_is_at_the_second_byte_for_byte_and_fetched_once(
    first, second, tmp_path
):
    wanted = {f"g/1/{n}.pack": bytes([n % 251]) * (n * 3000) for n in range(40)}
    wanted |= {"p/ä ö.manifest": b"m", "empty": b""}
    for name, data in wanted.items():
        put(first, name, data)
    first.azure().create_container("nothing-in-it")
    second.pull.look()
    assert second.names() == sorted(wanted)
    for name, data in wanted.items():
        assert second.bytes_of(tmp_path / "second", name) == data
    assert second.names("nothing-in-it") == []
    told = second.pull.told()
    assert told["behindObjects"] == told["behindBytes"] == told["goneObjects"] == 0
    put(first, "later", b"y" * 10)
    second.pull.look()
    assert second.bytes_of(tmp_path / "second", "later") == b"y" * 10


def test_the_lag_grows_while_the_first_is_away_and_outlives_a_restart(first, second):
    assert second.pull.told()["lagSeconds"] is None
    second.pull.look()
    second.clock.advance(300)
    assert second.pull.told()["lagSeconds"] == 300
    second.pull_from(f"http://127.0.0.1:{free_port()}/{ACCOUNT}")
    with pytest.raises(StoreUnavailable):
        second.pull.look()
    second.clock.advance(300)
    assert second.pull.told()["lagSeconds"] == 600


def test_the_reader_key_reads_and_does_nothing_else(first):
    put(first, "x")
    text = base64.b64encode(READER).decode()
    thief = BlobServiceClient(first.url, credential=text, retry_total=0)
    blob = thief.get_blob_client("cont", "x")
    assert blob.download_blob().readall() == b"x"
    for act in (
        blob.delete_blob,
        lambda: thief.get_blob_client("cont", "y").upload_blob(b"y"),
        lambda: thief.create_container("other"),
        lambda: thief.delete_container("cont"),
        thief.get_container_client("cont").get_container_access_policy,
        lambda: list(thief.list_containers()),
    ):
        with pytest.raises(HttpResponseError) as caught:
            act()
        assert caught.value.error_code == "AuthorizationPermissionMismatch"


def test_another_key_is_refused_and_so_is_the_reader_key_where_there_is_none(first, second):
    second.pull_from(first.url, bytes(64))
    with pytest.raises(StoreDenied):
        second.pull.look()
    with a_store_world() as without:
        second.pull_from(without.url, bytes(64))
        with pytest.raises(StoreDenied):
            second.pull.look()


def test_what_is_deleted_at_the_first_stays_a_fortnight_and_as_long_as_a_lock_or_hold_keeps_it(
    first, second
):
    for name in ("plain", "locked", "held", "stays"):
        put(first, name)
    first.store.locks.set_immutability("cont", Immutability("Unlocked", 0))
    ends = SystemClock().now().add(hours=24 * 30)
    first.store.locks.extend("cont", ["locked"], ends)
    first.store.locks.hold("cont", "held", "court")
    second.pull.look()
    first.store.locks.release("cont", "locked")
    first.store.locks.lift("cont", "held", "court")
    for name in ("plain", "locked", "held"):
        first.azure().get_blob_client("cont", name).delete_blob()
    second.pull.look()
    assert len(second.names()) == 4
    assert second.pull.told()["goneObjects"] == 3
    second.clock.advance(14 * DAY + 60)
    second.pull.look()
    assert second.names() == ["locked", "stays"]  # the hold was lifted there a fortnight ago
    second.clock.advance(17 * DAY)
    second.pull.look()
    assert second.names() == ["stays"]


def test_a_hold_comes_by_itself_and_is_lifted_here_a_fortnight_after_it_was_lifted_there(
    first, second
):
    put(first, "x")
    first.store.locks.hold("cont", "x", "court")
    first.store.locks.hold("cont", "g/", "all of it")
    second.pull.look()
    assert second.holds() == {("x", "court"), ("g/", "all of it")}
    first.store.locks.lift("cont", "x", "court")
    second.pull.look()
    second.clock.advance(13 * DAY)
    second.pull.look()
    assert ("x", "court") in second.holds()
    first.store.locks.hold("cont", "x", "court")  # it is held again: the fortnight begins anew
    second.pull.look()
    first.store.locks.lift("cont", "x", "court")
    second.pull.look()
    second.clock.advance(13 * DAY)
    second.pull.look()
    assert ("x", "court") in second.holds()
    second.clock.advance(DAY)
    second.pull.look()
    assert second.holds() == {("g/", "all of it")}
    second.pull.look()
    assert second.names() == ["x"]


def test_holds_of_the_second_itself_and_of_a_container_that_is_gone_are_not_lifted_by_a_pull(
    first, second
):
    put(first, "x")
    second.store.create_container("cont", {})
    second.store.locks.hold("cont", "x", "ours")
    for identifier in ("ours", "theirs"):
        first.store.locks.hold("cont", "x", identifier)
    second.pull.look()
    with a_store_world(reader_key=READER) as emptied:
        second.pull_from(emptied.url)
        for _ in range(2):
            second.pull.look()
            second.clock.advance(30 * DAY)
    assert second.holds() == {("x", "ours"), ("x", "theirs")}
    assert second.names() == ["x"]
    second.pull_from(first.url)
    for identifier in ("ours", "theirs"):
        first.store.locks.lift("cont", "x", identifier)
    for _ in range(2):
        second.pull.look()
        second.clock.advance(15 * DAY)
    assert second.holds() == {("x", "ours")}


def test_locks_of_the_first_are_never_shortened_by_what_it_says_later(first, second):
    put(first, "x")
    first.store.locks.set_immutability("cont", Immutability("Unlocked", 3))
    ends = SystemClock().now().add(hours=1000)
    first.store.locks.extend("cont", ["x", "g/1/"], ends)
    second.pull.look()
    first.store.locks.release("cont", "x")
    first.store.locks.set_immutability("cont", Immutability("Disabled", 0))
    second.pull.look()
    assert second.store.locks.immutability("cont") == Immutability("Unlocked", 3)
    kept = second.store.locks.of("cont", "x")
    assert kept.until is not None
    assert abs((kept.until - ends).total("seconds")) < 1
    first.store.locks.set_immutability("cont", Immutability("Locked", 5))
    second.pull.look()
    assert second.store.locks.immutability("cont") == Immutability("Locked", 5)


def test_a_first_endpoint_that_is_emptied_or_made_anew_empties_nothing_here_in_a_hurry(
    first, second, tmp_path
):
    put(first, "x", b"precious")
    second.pull.look()
    with a_store_world(reader_key=READER) as impostor:
        second.pull_from(impostor.url)
        second.pull.look()
        assert second.names() == ["x"]
        assert second.pull.told()["goneObjects"] == 1
        second.clock.advance(13 * DAY)
        second.pull.look()
    second.pull_from(first.url)
    second.pull.look()
    assert second.pull.told()["goneObjects"] == 0
    second.clock.advance(13 * DAY)  # it was back in between: the fortnight begins anew
    second.pull.look()
    assert second.bytes_of(tmp_path / "second", "x") == b"precious"


def test_bytes_that_are_not_what_was_written_are_not_taken_and_the_lag_says_so(first, second):
    put(first, "x", b"as it was written")
    put(first, "y")
    file = first.file("cont", "x")
    file.chmod(0o600)
    file.write_bytes(b"as it was WRITTEN")
    second.pull.look()
    assert second.names() == ["y"]
    told = second.pull.told()
    assert (told["behindObjects"], told["lagSeconds"]) == (1, None)
    file.write_bytes(b"as it was written")
    second.pull.look()
    assert second.names() == ["x", "y"]
    assert second.pull.told()["lagSeconds"] is not None


def test_what_the_first_has_found_to_be_damaged_does_not_keep_the_rest_from_coming(first, second):
    for name in ("a", "b", "c"):
        put(first, name, b"whole")
    first.file("cont", "b").chmod(0o600)
    first.file("cont", "b").write_bytes(b"wh")
    second.pull.look()
    assert second.names() == ["a", "c"]
    assert second.pull.told()["behindObjects"] == 1


def test_a_blob_that_is_another_there_is_told_and_never_written_over(first, second, tmp_path):
    put(first, "x", b"one")
    second.pull.look()
    first.azure().get_blob_client("cont", "x").delete_blob()
    put(first, "x", b"two")
    second.pull.look()
    assert second.bytes_of(tmp_path / "second", "x") == b"one"
    assert second.pull.told()["differing"] == 1


def damage(file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(b"as it was WRITTEN")


@pytest.mark.parametrize("how", ["altered", "lost", "cut"])
def test_what_is_damaged_at_the_second_is_fetched_anew_and_told(first, second, tmp_path, how):
    put(first, "deep/x", b"as it was written")
    put(first, "y")
    second.pull.look()
    file = tmp_path / "second" / ACCOUNT / "cont" / "deep" / "x"
    if how == "altered":
        damage(file)
    elif how == "lost":
        file.unlink()
        file.parent.rmdir()
    else:
        file.chmod(0o600)
        file.write_bytes(b"as it")
    second.store.looking.scrub(10)
    assert second.store.looking.damaged("cont") == ["deep/x"]
    with capture_logs() as logs:
        second.pull.look()
    assert [each["name"] for each in logs if each["event"] == "blob_mended"] == ["deep/x"]
    assert second.bytes_of(tmp_path / "second", "deep/x") == b"as it was written"
    assert second.pull.told()["damagedObjects"] == 0
    assert [each.state for each in second.store.looking.scrub(10)] == ["ok", "ok"]
    assert not list((tmp_path / "second" / ".strongroom" / "incoming").iterdir())


def test_what_is_damaged_at_both_or_gone_at_the_first_stays_as_it_is_and_is_told(
    first, second, tmp_path
):
    put(first, "x", b"as it was written")
    put(first, "y", b"as it was written")
    second.pull.look()
    upto = second.store.copies.pulled_upto()
    damage(first.file("cont", "x"))
    first.azure().get_blob_client("cont", "y").delete_blob()
    for name in ("x", "y"):
        damage(tmp_path / "second" / ACCOUNT / "cont" / name)
    second.store.looking.scrub(10)
    second.clock.advance(60)
    second.pull.look()
    told = second.pull.told()
    assert (told["damagedObjects"], told["lagSeconds"]) == (2, 60)
    assert second.store.copies.pulled_upto() == upto
    assert second.names() == ["x", "y"]
    assert second.bytes_of(tmp_path / "second", "x") == b"as it was WRITTEN"


def test_a_mend_that_is_cut_off_after_its_row_is_read_from_the_new_bytes(first, second, tmp_path):
    put(first, "x", b"as it was written")
    second.pull.look()
    damage(tmp_path / "second" / ACCOUNT / "cont" / "x")
    second.store.looking.scrub(10)
    second.store.mending = replace(second.store.mending, placement=CutOff())
    with pytest.raises(PowerLoss):
        second.pull.look()
    second.store.close()
    second.open()
    reading = second.store.open(second.store.blob("cont", "x"))
    assert reading.read(100) == b"as it was written"
    reading.close()
    second.pull_from(first.url)
    second.pull.look()
    assert second.bytes_of(tmp_path / "second", "x") == b"as it was written"
    assert second.pull.told()["damagedObjects"] == 0


class CutOff:
    """The power is lost before anything is replaced."""

    def check_removable(self, blob: object) -> None:
        pass

    def replace(self, blob: object) -> None:
        raise PowerLoss


def test_a_pull_that_stops_in_the_middle_of_a_blob_goes_on_with_it_later(first, second, tmp_path):
    put(first, "x", bytes(5 << 20))
    second.pull.stop()
    with pytest.raises(StoreUnavailable, match="stopping"):
        second.pull.look()
    assert second.names() == []
    second.pull_from(first.url)
    second.pull.look()
    assert len(second.bytes_of(tmp_path / "second", "x")) == 5 << 20


def test_a_second_that_was_refused_for_a_while_says_so_and_catches_up_by_itself(first, second):
    put(first, "x")
    with a_store_world() as refusing:  # it gives no reader key
        door = Door(refusing.url)
        chosen = PullSettings(url=first.url, key=READER, every_seconds=0.05)
        pull = Pull(second.store, door, chosen, second.clock)
        pull.start()
        try:
            until("the refusal", lambda: "refuses the reader key" in pull.told()["error"])
            assert second.store.containers(Asked()) == []
            put(first, "y")
            door.open(first.url)
            until("all of it", lambda: pull.told()["lagSeconds"] is not None)
            until("no error", lambda: pull.told()["error"] == "")
        finally:
            pull.stop()
    assert second.names() == ["x", "y"]


class Door(Source):
    """To an endpoint that refuses, and to another one later: in earnest, both."""

    def __init__(self, url: str) -> None:
        self.open(url)

    def open(self, url: str) -> None:
        super().__init__(PullSettings(url=url, key=READER), SystemClock())


def test_nobody_asks_for_an_inventory_without_a_key(first):
    for path in ("?comp=inventory", "/cont?restype=container&comp=book"):
        assert httpx.get(f"{first.url}{path}").status_code == 401


def test_a_signature_by_the_reader_key_reads_and_creates_nothing(first):
    put(first, "x")
    both = first.azure_by_sas("cont", a_sas("cont", permissions="rcwdl", key=READER))
    assert both.download_blob("x").readall() == b"x"
    for act in (lambda: both.upload_blob("y", b"y"), lambda: both.delete_blob("x")):
        with pytest.raises(HttpResponseError) as caught:
            act()
        assert caught.value.error_code == "AuthorizationPermissionMismatch"
    with a_store_world() as without:
        without.azure().create_container("cont")
        thief = without.azure_by_sas("cont", a_sas("cont", permissions="rl", key=b""))
        with pytest.raises(HttpResponseError) as caught:
            list(thief.list_blobs())
        assert caught.value.error_code == "AuthenticationFailed"


def test_a_copy_comes_over_https_from_whom_the_private_authority_vouches_for(tmp_path):
    authority, stranger = Authority(tmp_path), Authority(_made(tmp_path / "other"))
    with a_store_world(tls=authority.server_certificate(), reader_key=READER) as world:
        world.store.create_container("cont", {})
        second = Second(tmp_path / "second", world.url)
        for ca, trusted in ((stranger.ca_file, False), (authority.ca_file, True)):
            chosen = PullSettings(url=world.url, key=READER, ca=Path(ca).read_bytes())
            second.pull = Pull(second.store, Source(chosen, SystemClock()), chosen, second.clock)
            if trusted:
                second.pull.look()
                assert second.names() == []
            else:
                with pytest.raises(StoreUnavailable, match="SSL"):
                    second.pull.look()
        second.store.close()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
