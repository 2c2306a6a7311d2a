"""What a try of a backup has stored is told to the next one, and to none whom it does not fit."""

import random
import struct
from collections.abc import Mapping
from concurrent.futures import wait
from typing import Any

import msgspec
import pytest

from backup_orders import a_backup_order
from care_world import CareWorld, job_of
from seams import SystemClock
from strongroom.agent.backup.resume import stored_of
from strongroom.agent.held_lease import HeldLease
from strongroom.catalog.points import condemned
from strongroom.catalog.tables.tables import agent_operations as operations
from strongroom.catalog.tables.tables import agents
from strongroom.catalog.work import agent_operations, jobs
from strongroom.datastore.care.partial import SoFar
from strongroom.datastore.keys.session import content_keys
from strongroom.datastore.maps.delta import delta_of, lay_over, of_whole_tree, seal_delta
from strongroom.datastore.maps.manifest import (
    FileFacts,
    Manifest,
    PointFacts,
    Source,
    seal_manifest,
)
from strongroom.datastore.reading.reader import read_files
from strongroom.datastore.writing.writer import RawStream
from strongroom.model.errors import Corrupt, NotFound
from strongroom.model.postgres import PAGE, Lsn, lsn_to_text
from strongroom.model.work.job import JobStatus
from strongroom.model.work.operation import Lease
from strongroom.model.work.resume import ResumeReply, ResumeRequest
from strongroom.postgres.backup.incremental import Increment, Parent, Stored
from strongroom.postgres.server.events import (
    FileBegun,
    FileData,
    FileEnded,
    FilePages,
    ManifestData,
    Started,
)
from strongroom.workflows.backup.resume import base_of, open_resume
from strongroom.workflows.garbage.collect import collect
from worlds import SOURCE, noise, point_id

GRACE = 86_400.0
START = SOURCE.start_lsn


def page(seed: int, lsn: int = START - 8) -> bytes:
    """A page that was changed at `lsn`."""
    return struct.pack("<II", lsn >> 32, lsn & 0xFFFFFFFF) + noise(seed, PAGE - 8)


def relation(first: int, count: int = 20) -> bytes:
    return b"".join(page(first + number) for number in range(count))


class Tries:
    """Backups of one instance that break off, and those that go on with them."""

    def __init__(self, world: CareWorld) -> None:
        self.world = world
        self.instance = world.instance
        self.parent: Parent | None = None

    def commit_parent(self, number: int, tree: Mapping[str, bytes]) -> str:
        """A point with page versions, which the tries from now on lean on."""
        world, point = self.world.written, point_id(number)
        increment, writer = Increment(), world.writer(point)
        stream = writer.stream()
        self._copy(increment, stream, tree, START)
        stream.close()
        source = msgspec.structs.replace(SOURCE, stop_lsn=START + 20)
        versions = increment.page_versions
        delta = delta_of(writer.finish(), source, b"", page_versions=versions)
        facts = msgspec.structs.replace(FACTS, recovery_point_id=point)
        manifest = lay_over(delta, facts)
        sealed = seal_manifest(manifest, world.keys.catalogue.public, world.clock, world.chance)
        world.blobs.create(f"p/{point}.manifest", sealed)
        receipt = world.keys.signing.sign(world.receipt(manifest, sealed))
        world.blobs.create(f"p/{point}.receipt", receipt)
        self.parent = Parent(
            system_identifier=SOURCE.system_identifier,
            timeline=SOURCE.timeline,
            start_lsn=Lsn(START),
            stop_lsn=Lsn(START + 20),
            pg_manifest=b"",
            checksums=True,
            page_versions=versions,
        )
        return point

    def begin(self, number: int, epoch: int, parent: str = "") -> str:
        """The job of a point, with its operation leased so many times: the job's id."""
        job = job_of(point_id(number))
        order: dict[str, Any] = {"instanceId": self.instance, "generation": point_id(number)}
        if parent:
            order["parent"] = {"recoveryPointId": parent, "generation": parent}
        with self.world.database.writing() as connection:
            if agent_operations.get(connection, job) is None:
                agent = connection.execute(agents.select()).mappings().first()
                row = {"id": job, "job_id": job, "workflow_id": f"job:{job}", "kind": "backup"}
                row |= {
                    "agent_id": agent["id"],
                    "order": order,
                    "created_at": self.world.clock.now(),
                }
                agent_operations.offer(connection, row)
            mine = operations.c.id == job
            connection.execute(
                operations.update().where(mine).values(epoch=epoch, status="leased")
            )
        return str(job)

    def store(
        self, number: int, epoch: int, tree: Mapping[str, bytes], *, start: int = START
    ) -> list[str]:
        """A try that stores these relations and tells of them: the names of its packs."""
        increment = Increment(self.parent)
        writer = self.world.written.writer(point_id(number))
        stream = writer.stream()
        so_far = SoFar(writer, stream, increment.versions)
        self._copy(increment, stream, tree, start)
        stream.close()
        writer.finish()
        source = self._source(start)
        delta = so_far.delta(source)
        assert delta is not None
        self.put(number, epoch, 0, delta)
        return [pack.name for pack in delta.packs]

    def break_off(
        self, number: int, epoch: int, tree: Mapping[str, bytes], *, start: int, pieces: int
    ) -> int:
        """A try that tells of each pack and is cut off after so many pieces of four pages: how
        many bytes of the tree lie in storage.
        """
        told = self.stored(number, epoch) if epoch > 1 else None
        increment = Increment(self.parent, told)
        writer = self.world.written.writer(point_id(number))
        stream = writer.stream()
        so_far = SoFar(writer, stream, increment.versions)
        count = 0
        for event in increment.events(_events(tree, start)):
            self.apply(stream, event)
            wait(writer._sent)  # what is full is in storage
            delta = so_far.delta(self._source(start))
            if delta is not None:
                self.put(number, epoch, count, delta)
                count += 1
            pieces -= isinstance(event, FileData | FilePages)
            if not pieces:
                break
        sent = writer.sent(range(1000))
        rows = [*writer.ended(0)[0], *stream.under_way()[2]]
        writer.abort()
        return sum(row.length for row in rows if row.pack in sent)

    def put(self, number: int, epoch: int, count: int, delta: Any) -> None:
        written = self.world.written
        sealed = seal_delta(delta, written.keys.catalogue.public, written.clock, written.chance)
        name = f"d/{job_of(point_id(number))}.{epoch}/{count}.delta"
        self.world.blobs.create(name, sealed)

    @staticmethod
    def _source(start: int) -> Source:
        return msgspec.structs.replace(SOURCE, start_lsn=start)

    def _copy(
        self, increment: Increment, stream: Any, tree: Mapping[str, bytes], start: int
    ) -> None:
        for event in increment.events(_events(tree, start)):
            self.apply(stream, event)

    @staticmethod
    def apply(stream: RawStream, event: Any) -> None:
        match event:
            case FileBegun():
                facts = FileFacts(
                    path=event.path, size=event.size, mode=0o600, mtime=0, kind="main"
                )
                stream.begin_file(facts, kept=event.kept)
            case FileData(data):
                stream.write(data)
            case FilePages(blocks, data):
                stream.write_pages(blocks, data)
            case FileEnded():
                stream.end_file()

    def ask(self, number: int, epoch: int) -> ResumeReply:
        job, request = job_of(point_id(number)), ResumeRequest(epoch=epoch)
        return open_resume(self.world.means, job, request)

    def stored(self, number: int, epoch: int) -> Stored | None:
        """As an agent puts it together, part by part."""
        order = a_backup_order(
            1, "i", self.world.written.keys.catalogue, self.world.written.keys.data, resume=True
        )
        lease = Lease(operation_id=job_of(point_id(number)), epoch=epoch)
        return stored_of(HeldLease(self, lease, SystemClock(), 5.0), order)  # type: ignore[arg-type]

    def resume(self, operation_id: str, request: ResumeRequest, pause: object) -> ResumeReply:
        """The control plane's answer."""
        return open_resume(self.world.means, operation_id, request)

    def finish(
        self, number: int, epoch: int, tree: Mapping[str, bytes], told: ResumeReply, start: int
    ) -> tuple[Manifest, int]:
        """The next try to its end: the manifest, and how many bytes it wrote itself."""
        increment = Increment(self.parent, self.stored(number, epoch) if told.parts else None)
        writer = self.world.written.writer(point_id(number))
        stream = writer.stream()
        self._copy(increment, stream, tree, start)
        stream.close()
        written = writer.finish()
        delta = delta_of(written, self._source(start), b"")
        with self.world.database.reading() as connection:
            row = agent_operations.get(connection, job_of(point_id(number)))
        result = {"epoch": epoch, "resumed": increment.resumes}
        base = base_of(self.world.means, row, result, None)
        whole = delta if base is None else of_whole_tree(delta, base)
        return lay_over(whole, FACTS, base), written.raw_bytes

    def read(self, manifest: Manifest) -> dict[str, bytes]:
        found = {file.path: bytearray(file.size) for file in manifest.files}
        paths = [file.path for file in manifest.files]

        def write(index: int, offset: int, data: memoryview) -> None:
            found[paths[index]][offset : offset + len(data)] = data

        keys = content_keys(self.world.blobs, manifest, self.world.written.keys.data)
        read_files(manifest, self.world.blobs, keys, write)
        return {path: bytes(data) for path, data in found.items()}


FACTS = PointFacts(
    recovery_point_id="p", instance_id="i", job_id="j", taken_at="", committed_at=""
)


def _events(tree: Mapping[str, bytes], start: int) -> Any:
    yield Started(
        start_lsn=Lsn(start),
        timeline=SOURCE.timeline,
        tablespaces=(),
        estimated_bytes=0,
        system_identifier=SOURCE.system_identifier,
        version_number=SOURCE.version_number,
        wal_segment_size=SOURCE.wal_segment_size,
        checksums=True,
    )
    for path, content in tree.items():
        yield FileBegun(path, len(content), 0o600, 0, "main")
        for offset in range(0, len(content), 4 * PAGE):
            yield FileData(memoryview(content)[offset : offset + 4 * PAGE])
        yield FileEnded()
    yield ManifestData(memoryview(b""))


@pytest.fixture
def tries(world: CareWorld) -> Tries:
    return Tries(world)


def test_the_next_epoch_writes_only_what_has_changed_and_the_point_is_whole(tries: Tries) -> None:
    tree = {"base/5/1": relation(0), "base/5/2": relation(100)}
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    tries.store(1, 1, tree)
    tries.begin(1, 2)
    told = tries.ask(1, 2)
    assert [part.start_lsn for part in told.parts] == [lsn_to_text(Lsn(START))]
    changed = page(7777, START + 50)
    late = page(8888, START + 10)  # stored by the first try while it was being written, perhaps
    now = {
        "base/5/1": tree["base/5/1"][:PAGE] + changed + tree["base/5/1"][2 * PAGE :],
        "base/5/2": tree["base/5/2"] + late,
        "base/5/3": relation(200, 3),
    }
    manifest, written = tries.finish(1, 2, now, told, START + 1000)
    assert written == 5 * PAGE
    assert tries.read(manifest) == now


def test_a_page_that_changed_after_the_start_of_the_try_that_stored_it_is_never_kept(
    tries: Tries,
) -> None:
    torn = page(5, START + 8)
    tree = {"base/5/1": relation(0, 3) + torn}
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    tries.store(1, 1, tree)
    tries.begin(1, 2)
    _, written = tries.finish(1, 2, tree, tries.ask(1, 2), START + 1000)
    assert written == PAGE, "its words are the same, and it is written again"


def test_a_third_try_leans_on_both_before_it_each_by_its_own_start(tries: Tries) -> None:
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    one, two = {"base/5/1": relation(0)}, {"base/5/2": relation(100)}
    tries.store(1, 1, one)
    tries.begin(1, 2)
    tries.ask(1, 2)
    tries.store(1, 2, two, start=START + 100)
    tries.begin(1, 3)
    told = tries.ask(1, 3)
    starts = {path: part.start_lsn for part in told.parts for path in part.paths}
    assert starts == {
        "base/5/1": lsn_to_text(Lsn(START)),
        "base/5/2": lsn_to_text(Lsn(START + 100)),
    }
    manifest, written = tries.finish(1, 3, one | two, told, START + 1000)
    assert written == 0
    assert tries.read(manifest) == one | two


def test_an_increment_that_broke_off_leans_on_its_parent_and_on_what_it_had_stored(
    tries: Tries,
) -> None:
    old = {"base/5/1": relation(0), "base/5/2": relation(100), "base/5/3": relation(200)}
    parent = tries.commit_parent(9, old)
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1, parent)
    now = dict(old)
    for path, seed in (("base/5/1", 7000), ("base/5/2", 8000)):
        now[path] = page(seed, START + 30) + old[path][PAGE:]
    tries.store(1, 1, {"base/5/1": now["base/5/1"]}, start=START + 100)
    tries.begin(1, 2, parent)
    told = tries.ask(1, 2)
    assert told.parts[0].paths == ["base/5/1"]
    manifest, written = tries.finish(1, 2, now, told, START + 1000)
    assert written == PAGE, "the changed page of the second relation; that of the first is stored"
    assert tries.read(manifest) == now
    assert {pack.generation for pack in manifest.packs} == {parent, point_id(1)}


def changed_since(tree: Mapping[str, bytes], every: int, lsn: int) -> dict[str, bytes]:
    """Each so-manieth page is another one."""
    return {
        path: b"".join(
            page(lsn + n, lsn) if n % every == 0 else old[n * PAGE : (n + 1) * PAGE]
            for n in range(len(old) // PAGE)
        )
        for path, old in tree.items()
    }


def test_of_a_file_that_broke_off_in_its_middle_what_is_stored_is_not_written_again(
    tries: Tries,
) -> None:
    """Of an increment: what comes after it is the parent's, and not written either."""
    old = {"base/5/1": relation(0, 90), "base/5/2": relation(300, 90)}
    parent = tries.commit_parent(9, old)
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1, parent)
    now = changed_since(old, 2, START + 30)
    stored = tries.break_off(1, 1, now, start=START + 100, pieces=30)
    assert stored
    tries.begin(1, 2, parent)
    manifest, written = tries.finish(1, 2, now, tries.ask(1, 2), START + 1000)
    assert written == 90 * PAGE - stored
    assert tries.read(manifest) == now


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_whatever_breaks_off_and_changes_between_the_point_is_the_server(
    tries: Tries, seed: int, full: bool
) -> None:
    chance = random.Random(seed)
    tree = {f"base/5/{n}": relation(100 * n, chance.randrange(1, 60)) for n in range(5)}
    parent = "" if full else tries.commit_parent(9, tree)
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    now = START + 100
    for epoch in range(1, 5):
        for path in list(tree):
            if chance.random() < 0.6:
                tree |= changed_since({path: tree[path]}, chance.randrange(1, 9), now)
            if chance.random() < 0.2:
                tree[path] = tree[path][: PAGE * chance.randrange(1, 30)]
            if chance.random() < 0.2:
                tree[path] += b"".join(page(now + n, now) for n in range(chance.randrange(20)))
        tree[f"base/5/9{epoch}"] = b"".join(page(n, now) for n in range(chance.randrange(1, 30)))
        now += 200
        tries.begin(1, epoch, parent)
        tries.break_off(1, epoch, tree, start=now, pieces=chance.randrange(2, 30))
        now += 100
    tries.begin(1, 5, parent)
    told = tries.ask(1, 5)
    assert told.parts
    manifest, _ = tries.finish(1, 5, tree, told, now)
    assert tries.read(manifest) == tree


def test_what_arrives_after_the_answer_is_not_leant_on(tries: Tries) -> None:
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    tries.store(1, 1, {"base/5/1": relation(0)})
    tries.begin(1, 2)
    told = tries.ask(1, 2)
    increment, writer = Increment(), tries.world.written.writer(point_id(1))
    stream = writer.stream()
    so_far = SoFar(writer, stream, increment.versions)
    tries._copy(increment, stream, {"base/5/1": relation(500)}, START)
    stream.close()
    writer.finish()
    tries.put(1, 1, 1, so_far.delta(SOURCE))
    assert tries.ask(1, 2) == told
    manifest, _ = tries.finish(1, 2, {"base/5/1": relation(0)}, told, START + 1000)
    assert tries.read(manifest) == {"base/5/1": relation(0)}


def test_a_new_job_goes_on_with_the_failed_one_before_it_unless_a_good_one_came_between(
    tries: Tries,
) -> None:
    world = tries.world
    world.a_job(1, JobStatus.FAILED)
    tries.begin(1, 1)
    tries.store(1, 1, {"base/5/1": relation(0)})
    world.clock.advance(60)
    world.a_job(2, JobStatus.IN_PROGRESS)
    tries.begin(2, 1)
    told = tries.ask(2, 1)
    assert told.parts[0].paths == ["base/5/1"]
    manifest, written = tries.finish(2, 1, {"base/5/1": relation(0)}, told, START + 1000)
    assert written == 0
    assert {pack.generation for pack in manifest.packs} == {point_id(1)}
    world.end_job(job_of(point_id(2)))
    world.clock.advance(60)
    world.a_job(3, JobStatus.IN_PROGRESS)
    tries.begin(3, 1)
    assert tries.ask(3, 1) == ResumeReply()


def test_a_job_whose_bytes_were_found_to_be_others_is_nothing_to_lean_on(tries: Tries) -> None:
    """Else every next one would fail at its commit as that one did."""
    world = tries.world
    job = world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    tries.store(1, 1, {"base/5/1": relation(0)})
    with world.database.writing() as connection:
        error = Corrupt("a pack is not what the agent wrote").to_dict()
        jobs.end(connection, job, JobStatus.FAILED, world.clock.now(), error=error)
    world.clock.advance(60)
    world.a_job(2, JobStatus.IN_PROGRESS)
    tries.begin(2, 1)
    assert tries.ask(2, 1) == ResumeReply()


def test_a_dump_does_not_go_on_with_a_copy(tries: Tries) -> None:
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    tries.store(1, 1, {"base/5/1": relation(0)})
    tries.begin(1, 2)
    request = ResumeRequest(epoch=2, logical=True)
    assert open_resume(tries.world.means, job_of(point_id(1)), request) == ResumeReply()
    assert tries.ask(1, 2).parts, "and a copy does still"


def test_of_a_file_that_was_told_as_it_grew_the_last_counts(tries: Tries) -> None:
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    increment, writer = Increment(), tries.world.written.writer(point_id(1))
    stream = writer.stream()
    so_far = SoFar(writer, stream, increment.versions)
    tree, count = {"base/5/1": relation(0, 40), "base/5/2": relation(50)}, 0
    for event in increment.events(_events(tree, START)):
        tries.apply(stream, event)
        wait(writer._sent)  # what is full is in storage
        delta = so_far.delta(SOURCE)
        if delta is not None:
            tries.put(1, 1, count, delta)
            count += 1
    stream.close()
    writer.finish()
    assert count > 2
    tries.begin(1, 2)
    manifest, written = tries.finish(1, 2, tree, tries.ask(1, 2), START + 1000)
    assert tries.read(manifest) == tree
    assert written < 20 * PAGE


def test_a_try_on_another_parent_is_not_gone_on_with(tries: Tries) -> None:
    world = tries.world
    parent = world.a_point(9, listed=True)
    world.a_job(1, JobStatus.FAILED)
    tries.begin(1, 1)
    tries.store(1, 1, {"base/5/1": relation(0)})
    world.clock.advance(60)
    world.a_job(2, JobStatus.IN_PROGRESS)
    tries.begin(2, 1, parent)
    assert tries.ask(2, 1) == ResumeReply()


@pytest.mark.parametrize("harm", ["gone", "damaged", "cut off", "collected"])
def test_nothing_is_leant_on_that_is_not_there_whole(tries: Tries, harm: str) -> None:
    world = tries.world
    world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    pack = tries.store(1, 1, {"base/5/1": relation(0)})[0]
    if harm == "gone":
        world.remove(pack)
    elif harm == "damaged":
        world.damage(pack)
        list(world.means.storage.account_view(world.instance).digests([pack]))
    elif harm == "cut off":
        world.remove(pack)
        world.blobs.create(pack, b"short")
    else:
        with world.database.writing() as connection:
            condemned.condemn(connection, world.instance, {pack: 1}, world.clock.now())
            condemned.set_state(connection, world.instance, [pack], condemned.GOING)
    tries.begin(1, 2)
    assert tries.ask(1, 2) == ResumeReply()


def test_a_try_that_names_packs_of_others_is_not_leant_on(tries: Tries) -> None:
    """Whoever has an agent's access could tell of anything: it may tell of its own packs alone."""
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    increment, writer = Increment(), tries.world.written.writer(point_id(7))
    stream = writer.stream()
    so_far = SoFar(writer, stream, increment.versions)
    tries._copy(increment, stream, {"base/5/1": relation(0)}, START)
    stream.close()
    writer.finish()
    tries.put(1, 1, 0, so_far.delta(SOURCE))
    tries.begin(1, 2)
    assert tries.ask(1, 2) == ResumeReply()


def test_a_partial_delta_that_is_lost_after_it_was_told_fails_the_commit_by_name(
    tries: Tries,
) -> None:
    tries.world.a_job(1, JobStatus.IN_PROGRESS)
    tries.begin(1, 1)
    tries.store(1, 1, {"base/5/1": relation(0)})
    job = tries.begin(1, 2)
    stored = tries.stored(1, 2)
    assert stored is not None
    name = f"d/{job}.1/0.delta"
    tries.world.remove(name)
    with pytest.raises(NotFound):
        stored.page_versions["base/5/1"]
    with tries.world.database.reading() as connection:
        row = agent_operations.get(connection, job)
    with pytest.raises(Corrupt, match=name):
        base_of(tries.world.means, row, {"epoch": 2, "resumed": True}, None)


def test_garbage_that_a_try_leans_on_waits_for_its_job(tries: Tries) -> None:
    world = tries.world
    world.a_job(1, JobStatus.FAILED)
    tries.begin(1, 1)
    packs = tries.store(1, 1, {"base/5/1": relation(0)})
    collect(world.means, world.instance, grace_seconds=GRACE)
    world.clock.advance(10 * GRACE)
    world.a_job(2, JobStatus.IN_PROGRESS)
    tries.begin(2, 1)
    assert tries.ask(2, 1).parts
    for _ in range(2):
        collect(world.means, world.instance, grace_seconds=GRACE)
        world.clock.advance(2 * GRACE)
    assert set(packs) <= set(world.names())
    world.end_job(job_of(point_id(2)), JobStatus.FAILED)
    world.clock.advance(2 * GRACE)
    assert collect(world.means, world.instance, grace_seconds=GRACE).freed_objects > len(packs)
    assert not set(packs) & set(world.names())


@pytest.mark.parametrize("kind", ["parent", "dump"])
def test_the_parent_of_a_backup_under_way_is_kept_though_its_receipt_goes(
    tries: Tries, kind: str
) -> None:
    world = tries.world
    parent = world.a_point(9, listed=True)
    packs = world.names(f"g/{parent}/")
    world.a_job(1, JobStatus.IN_PROGRESS)
    wish = {"parent": {"recoveryPointId": parent}, "dump": {"parent": parent}}
    job = tries.begin(1, 1)
    with world.database.writing() as connection:
        order = {"instanceId": world.instance, kind: wish[kind]}
        connection.execute(operations.update().where(operations.c.id == job).values(order=order))
    world.clock.advance(60)
    world.remove(f"p/{parent}.receipt")
    for _ in range(3):
        collect(world.means, world.instance, grace_seconds=GRACE)
        world.clock.advance(2 * GRACE)
    assert set(packs) <= set(world.names())
    world.end_job(job_of(point_id(1)), JobStatus.FAILED)
    world.clock.advance(2 * GRACE)
    collect(world.means, world.instance, grace_seconds=GRACE)
    assert not set(packs) & set(world.names())
