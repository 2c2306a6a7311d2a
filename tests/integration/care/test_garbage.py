"""What nobody names goes after its grace, and never what a commit names: at every interleaving."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from care_world import CareWorld, care_world
from seams import SystemClock
from store_world import KEY, KEY_TEXT
from strongroom.catalog.points import condemned
from strongroom.catalog.work import jobs
from strongroom.control.identities import identity
from strongroom.control.points import garbage
from strongroom.datastore.care.garbage import Unreadable
from strongroom.datastore.places.blobs import AzureBlobs
from strongroom.datastore.places.container import Container
from strongroom.datastore.statements.receipt import Receipt, ReceiptPack
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Invalid, ObjectMissing, StoreUnavailable
from strongroom.model.identities.access import OWNER, Caller
from strongroom.model.work.job import JobStatus
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.vault_storage import VaultStorage
from strongroom.workflows.garbage.collect import Collected, collect, keep
from strongroom.workflows.garbage.collect_job import collect_garbage
from worlds import point_id, small_tree

GRACE = 86_400.0


class Crash(Exception):
    """The process ends here."""


class WatchedStorage(VaultStorage):
    """Before request i of the collection, `before(i)` happens."""

    def __init__(self, url: str, before: Callable[[int], None]) -> None:
        super().__init__(url, KEY, SystemClock())
        self._before = before
        self.requests = 0

    def arrive(self) -> None:
        number = self.requests
        self.requests += 1
        self._before(number)

    def container(self, instance_id: str) -> AzureBlobs:
        return _WatchedBlobs(self, super().container_url(instance_id))

    def account_view(self, instance_id: str) -> Container:
        return _WatchedView(self, super().container_url(instance_id))


class _WatchedBlobs(AzureBlobs):
    def __init__(self, storage: WatchedStorage, url: str) -> None:
        super().__init__(url, account_key=KEY_TEXT)
        self._storage = storage

    def read(self, name: str) -> bytes:
        self._storage.arrive()
        return super().read(name)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        self._storage.arrive()
        return iter(list(super().list(prefix)))


class _WatchedView(Container):
    def __init__(self, storage: WatchedStorage, url: str) -> None:
        super().__init__(url, KEY, SystemClock())
        self._storage = storage

    def delete(self, name: str) -> bool:
        self._storage.arrive()
        return super().delete(name)


def watched(world: CareWorld, before: Callable[[int], None]) -> tuple[Means, WatchedStorage]:
    storage = WatchedStorage(world.store.url, before)
    return Means(control=world.control, keyring=world.means.keyring, storage=storage), storage


def a_pass(world: CareWorld, means: Means | None = None, *, dry_run: bool = False) -> Collected:
    return collect(means or world.means, world.instance, grace_seconds=GRACE, dry_run=dry_run)


def listed(world: CareWorld) -> dict[str, str]:
    with world.database.reading() as connection:
        rows = condemned.list_of_instance(connection, world.instance)
    return {row["name"]: row["state"] for row in rows}


def half_written(world: CareWorld, number: int) -> list[str]:
    """Packs of a backup that never was committed."""
    world.written.write(small_tree(number), point_id(number))
    return world.names(f"g/{point_id(number)}/")


def test_packs_of_a_failed_backup_go_after_the_grace_and_the_space_is_accounted(
    world: CareWorld,
) -> None:
    whole = world.a_point(1)
    lost = half_written(world, 2)
    sizes = dict(world.blobs.list("g/"))
    first = a_pass(world)
    delta = f"d/{whole}.1.delta"
    assert set(listed(world)) == {*lost, delta}
    assert (first.freed_objects, first.condemned_objects) == (0, len(lost) + 1)
    world.clock.advance(GRACE - 1)
    assert a_pass(world).freed_objects == 0
    delta_size = world.blobs.size(delta)
    world.clock.advance(2)
    second = a_pass(world)
    assert second.freed_bytes == sum(sizes[name] for name in lost) + delta_size
    assert second.condemned_objects == 0
    assert world.names("g/") == world.names(f"g/{whole}/") != []
    assert world.audited("garbage/collect") == [world.instance]
    assert listed(world) == {}


def test_a_dry_run_tells_and_changes_nothing(world: CareWorld) -> None:
    lost = half_written(world, 2)
    assert a_pass(world, dry_run=True).condemned_objects == len(lost)
    assert listed(world) == {}
    a_pass(world)
    world.clock.advance(GRACE + 1)
    assert a_pass(world, dry_run=True).ripe_objects == len(lost)
    assert world.names("g/") == lost


def test_an_increment_keeps_the_packs_of_its_parents_generation(world: CareWorld) -> None:
    parent = world.a_point(1)
    written = world.written.write(small_tree(1), parent)
    world.written.commit(written, point_id(2))
    for name in (f"p/{parent}.receipt", f"p/{parent}.manifest"):
        world.remove(name)
    a_pass(world)
    world.clock.advance(GRACE + 1)
    assert a_pass(world).freed_objects > 0
    assert sorted(world.names("g/")) == sorted(pack.name for pack in written.packs)


def test_nothing_that_a_job_under_way_may_have_written_goes(world: CareWorld) -> None:
    job = world.a_job(2, JobStatus.IN_PROGRESS)
    packs = half_written(world, 2)
    a_pass(world)
    world.clock.advance(30 * GRACE)
    assert a_pass(world).freed_objects == 0
    world.end_job(job, JobStatus.FAILED)
    world.clock.advance(60)
    assert a_pass(world).freed_objects == 0, "its last request may still arrive"
    world.clock.advance(3600)
    assert a_pass(world).freed_objects == len(packs)


@pytest.mark.parametrize("harm", ["missing manifest", "altered manifest", "foreign receipt"])
def test_what_cannot_be_read_stops_the_collection(world: CareWorld, harm: str) -> None:
    point = world.a_point(1)
    lost = half_written(world, 2)
    a_pass(world)
    world.clock.advance(GRACE + 1)
    if harm == "foreign receipt":
        world.blobs.create(f"p/{point_id(9)}.receipt", b"{}")
    else:
        world.remove(f"p/{point}.manifest")
    if harm == "altered manifest":
        world.blobs.create(f"p/{point}.manifest", b"something else")
    with pytest.raises(Unreadable):
        a_pass(world)
    assert set(lost) <= set(world.names("g/"))


def test_a_store_that_is_away_stops_the_collection(world: CareWorld) -> None:
    lost = half_written(world, 2)
    a_pass(world)
    world.clock.advance(GRACE + 1)

    def away(number: int) -> None:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        a_pass(world, watched(world, away)[0])
    assert world.names("g/") == lost


def test_what_the_store_would_not_delete_is_retained_and_asked_for_again(world: CareWorld) -> None:
    lost = half_written(world, 2)
    a_pass(world)
    world.clock.advance(GRACE + 1)

    class Locked(_WatchedView):
        def delete(self, name: str) -> bool:
            return name != lost[0] and super().delete(name)

    means, storage = watched(world, lambda number: None)
    storage.account_view = lambda instance: Locked(storage, storage.container_url(instance))  # type: ignore[method-assign]
    told = a_pass(world, means)
    assert (told.freed_objects, told.retained_objects) == (len(lost) - 1, 1)
    assert listed(world) == {lost[0]: "retained"}
    assert a_pass(world).freed_objects == 1
    assert world.names("g/") == []


# --- races and crashes ---


def requests_of_a_pass(home: Path) -> int:
    with care_world(home) as world:
        prepare(world)
        means, storage = watched(world, lambda number: None)
        a_pass(world, means)
        return storage.requests


def prepare(world: CareWorld) -> list[str]:
    """One whole point, and another's packs, condemned and ripe."""
    world.a_point(1)
    packs = half_written(world, 2)
    a_pass(world)
    world.clock.advance(GRACE + 1)
    return packs


def commit_steps(world: CareWorld) -> list[Callable[[], None]]:
    """A second backup of the same bytes that leans on the packs already there."""
    written = world.written.write(small_tree(3), point_id(3))
    old = world.names(f"g/{point_id(2)}/")
    job: list[object] = []

    def begin() -> None:
        job.append(world.a_job(3, JobStatus.IN_PROGRESS))

    def fence() -> None:
        keep(world.means, world.instance, [*old, *(pack.name for pack in written.packs)])

    def check() -> None:
        there = set(world.names("g/"))
        if not set(old) <= there:
            raise ObjectMissing("a pack is gone")

    def receipt() -> None:
        signed = world.written.receipt
        world.written.receipt = lambda manifest, stored: _with(
            signed(manifest, stored), old, world
        )  # type: ignore[method-assign]
        try:
            world.written.commit(written, point_id(3))
        finally:
            del world.written.receipt
        world.end_job(job[0])  # type: ignore[arg-type]

    return [begin, fence, check, receipt]


def _with(receipt: Receipt, old: list[str], world: CareWorld) -> Receipt:
    more = [
        ReceiptPack(name=found.name, size=found.size, blake3=found.blake3)
        for found in world.means.storage.account_view(world.instance).digests(old)
    ]
    return msgspec.structs.replace(receipt, packs=[*receipt.packs, *more])


def committed_whole(world: CareWorld) -> bool:
    """Whether the second point was committed; if so all it names is there."""
    name = f"p/{point_id(3)}.receipt"
    if name not in world.names("p/"):
        return False
    receipt = world.means.keyring.signing.public.check(world.blobs.read(name))
    assert {pack.name for pack in receipt.packs} <= set(world.names("g/"))
    return True


def test_a_commit_between_any_two_steps_of_a_collection_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    count = requests_of_a_pass(tmp_path / "count")
    outcomes = set()
    for begun in range(4):  # steps of the commit that come before the collection
        for at in range(count):
            home = tmp_path / f"{begun}-{at}"
            home.mkdir()
            with care_world(home) as world:
                prepare(world)
                outcomes.add(_raced(world, begun, at))
    assert outcomes == {True, False}, "the race was won by either side"


def _raced(world: CareWorld, begun: int, at: int) -> bool:
    steps = commit_steps(world)
    refused = False

    def go_on(count: int) -> None:
        nonlocal refused
        try:
            for _ in range(min(count, len(steps))):
                steps.pop(0)()
        except ObjectMissing:
            steps.clear()
            refused = True

    go_on(begun)
    means, _ = watched(world, lambda number: go_on(len(steps)) if number == at else None)
    a_pass(world, means)
    go_on(len(steps))  # the pass was shorter than that
    whole = committed_whole(world)
    assert whole != refused
    world.clock.advance(GRACE + 4000)
    a_pass(world)  # what comes later harms it as little
    world.clock.advance(GRACE + 4000)
    a_pass(world)
    assert committed_whole(world) == whole
    return whole


def test_a_collection_that_dies_at_any_step_is_finished_by_the_next_and_counts_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "count").mkdir()
    count = requests_of_a_pass(tmp_path / "count")
    for at in range(count):
        home = tmp_path / str(at)
        home.mkdir()
        with care_world(home) as world:
            packs = prepare(world)

            def crash(number: int, at: int = at) -> None:
                if number == at:
                    raise Crash

            with pytest.raises(Crash):
                a_pass(world, watched(world, crash)[0])
            told = a_pass(world)
            assert told.freed_objects == len(packs) + 1  # and the delta of the whole point
            assert world.names("g/") == world.names(f"g/{point_id(1)}/") != []
            assert world.audited("garbage/collect") == [world.instance]


class _InOne:
    """A story whose steps run at once: nothing of them is kept."""

    def step(self, name: str, function: Callable[..., object], *args: object) -> object:
        return function(*args)


def test_a_pass_that_was_asked_for_tells_what_it_found_in_its_job(world: CareWorld) -> None:
    lost = half_written(world, 2)
    who = identity.create_service_principal(
        world.control, "owner", "app", "secret", [(OWNER.id, "/")]
    )
    vault = VaultRef(resource_group="RG-1", name="V-1")
    told = Caller(principal_id=who)
    wishes = {"grace_days": 7.0, "dry_run": True, "request_key": ""}
    garbage.trigger_collection(world.control, told, vault, "I-1", **wishes)
    with world.database.reading() as connection:
        (job,) = jobs.list_running(connection)
    collect_garbage(world.means, _InOne(), job)  # type: ignore[arg-type]
    done = world.job(job)
    assert done.status is JobStatus.COMPLETED
    assert done.order["collected"]["condemned_objects"] == len(lost)
    with pytest.raises(Invalid):
        garbage.trigger_collection(
            world.control, told, vault, "I-1", **{**wishes, "grace_days": 0.0}
        )
