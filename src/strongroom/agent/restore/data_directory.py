"""Restore a recovery point as a data directory, new or in place, and start it when asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from strongroom.agent.access import OpenContainer
from strongroom.agent.bounds import why_not_there
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.restore.in_place import InPlace
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.restore.point_keys import PointKeys, open_manifest
from strongroom.agent.restore.start_restored import (
    RECOVERY_SECONDS,
    check_port,
    next_steps,
    port_beside_others,
    start_restored,
    stop_restored,
    tools_for,
)
from strongroom.agent.wal.log import WalLog
from strongroom.datastore.maps.manifest import FileFacts, Manifest
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.reader import read_files
from strongroom.model.errors import Invalid, TargetError, TargetRefused, VaultError
from strongroom.model.postgres import major_of
from strongroom.model.restore.unfinished import left_in
from strongroom.model.seams import Chance
from strongroom.model.wal import Recovery
from strongroom.model.work.operation import (
    Completion,
    Progress,
    RestoreOrder,
    RestoreResult,
)
from strongroom.postgres.restore.in_place import InPlaceTarget
from strongroom.postgres.restore.restore import Finished, RestoredFile, RestoreTarget
from strongroom.postgres.restore.restored_settings import settle_in_place
from strongroom.postgres.restore.wal_recovery import LogPlace, await_recovered

Source = tuple[Blobs, Mapping[bytes, bytes]]  # where packs lie, and their content keys by id


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where this agent lets a restore write: beneath `roots`, else as bounds.py says."""

    roots: tuple[Path, ...]
    journal: RestoreJournal

    def allow(self, place: str) -> Path:
        """The real path of a target; TargetRefused when it lies outside, or is not absolute."""
        path = Path(place)
        if not path.is_absolute() or ".." in path.parts or "\0" in place:
            raise TargetRefused(
                f"{place[:200]!r} is not an absolute path",
                hint="Name the directory from the root, without `..`.",
            )
        real = path.parent.resolve() / path.name
        roots = [root.resolve() for root in self.roots]
        why_not = "" if roots else why_not_there(real)
        if why_not:
            raise TargetRefused(
                f"{path} is no place to restore into: {why_not}",
                hint="Name another one, or start the agent with --restore-root.",
            )
        if roots and not any(real.is_relative_to(root) for root in roots):
            allowed = ", ".join(str(root) for root in roots)
            raise TargetRefused(
                f"{path} is outside the directories that this agent may restore into",
                hint=f"Restore beneath {allowed}, or start the agent with --restore-root.",
            )
        return real


def restore(
    held: HeldLease,
    grounds: Grounds,
    open_container: OpenContainer,
    chance: Chance,
    share: Share = WHOLE,
) -> Completion:
    """The whole story. A second attempt starts over, or reports what the first one finished.

    Raises TargetError, StoreError (Corrupt and WrongKey among them), LeaseLost, Cancelled.
    """
    order = _order_of(held)
    directory = grounds.allow(order.target_directory)
    result = grounds.journal.find(held.lease.operation_id)
    if result is None:
        blobs = open_container(held, "read")
        keys = PointKeys(held, chance)
        manifest = open_manifest(order.manifest_name, order.recovery_point_id, blobs, keys)
        if order.start:  # what would fail at the end fails now
            tools_for(major_of(manifest.source.version_number))
            check_port(order.port)
        made = _made_in_place if order.in_place else _made
        result = made(held, grounds, manifest, (blobs, keys.packs), share)
        if order.recovery is not None:
            result = _with_log(held, order.recovery, blobs, directory, chance, result)
        # First this, then the marker goes: what lacks the marker is known to be this job's own.
        grounds.journal.keep(held.lease.operation_id, result)
    kind = InPlaceTarget if order.in_place else RestoreTarget
    kind(directory, order.tablespaces, order.job_id).drop_marker()
    if order.start and not result.started:
        held.next_step("Starting")
        result = _started(held, order, directory, open_container, chance, result)
        grounds.journal.keep(held.lease.operation_id, result)
    return Completion(epoch=held.lease.epoch, restore=result)


def _order_of(held: HeldLease) -> RestoreOrder:
    if held.lease.restore is None:
        raise Invalid("not an order to restore")
    return held.lease.restore


def _made(
    held: HeldLease, grounds: Grounds, manifest: Manifest, source: Source, share: Share
) -> RestoreResult:
    """In a new directory, all of it."""
    order = _order_of(held)
    directory = grounds.allow(order.target_directory)
    for file in manifest.files:
        if file.kind == "link":
            grounds.allow(order.tablespaces.get(file.link, file.link))
    total = sum(file.size for file in manifest.files)
    progress = Progress(step="Writing", total_bytes=total)
    held.tell(progress)
    target = RestoreTarget(directory, order.tablespaces, order.job_id)

    def write(index: int, offset: int, data: memoryview) -> None:
        held.check()
        target.write(index, offset, data)

    def advance(raw: int, stored: int) -> None:
        held.check()
        progress.done_bytes += raw
        progress.stored_bytes += stored

    try:
        target.prepare([restored_file(file) for file in manifest.files], total)
        with _told_unfinished(target.places):
            fetched = read_files(
                manifest, *source, write, workers=share.workers, on_progress=advance
            )
            held.check()
            watch = _verifying(held, target.bytes_to_check)
            finished = target.finish(manifest.pg_manifest, order.settings, watch=watch)
    finally:
        target.close()
    return _result(order, directory, manifest, finished, fetched)


@contextmanager
def _told_unfinished(places: Sequence[Path]) -> Iterator[None]:
    """Who reads why it failed is told what it leaves."""
    try:
        yield
    except VaultError as error:
        error.hint += f" {left_in([str(place) for place in places])}"
        raise


def _with_log(
    held: HeldLease,
    recovery: Recovery,
    blobs: Blobs,
    directory: Path,
    chance: Chance,
    result: RestoreResult,
) -> RestoreResult:
    """What recovery needs lies in the directory: all of the log, unless we start it ourselves."""
    served = _order_of(held).start
    place = LogPlace(directory, lasting=recovery.follow or not served)
    place.lay(recovery)
    if served:
        return result
    held.next_step("Fetching log")
    log = WalLog(held, recovery, blobs, chance)
    log.fill(place)
    fetched = result.fetched_bytes + log.fetched
    return msgspec.structs.replace(result, fetched_bytes=fetched)


def _started(
    held: HeldLease,
    order: RestoreOrder,
    directory: Path,
    open_container: OpenContainer,
    chance: Chance,
    result: RestoreResult,
) -> RestoreResult:
    """It runs: recovered to the moment, where one was asked for.

    A standby follows until it is promoted, or the job is cancelled: it then waits where it is.
    What else is cancelled before it has recovered is stopped: it may have all of its log already.
    """
    port = order.port if order.port or order.in_place else port_beside_others(directory)
    if order.recovery is None:
        with _told_whole(result):
            return start_restored(directory, port, result)
    held.next_step("Recovering")
    log = WalLog(held, order.recovery, open_container(held, "read"), chance)
    follows = order.recovery.follow

    def give_up() -> None:
        if held.is_cancelled and not follows:
            stop_restored(directory)

    with log.served(directory), held.when_stopped(give_up):
        started = start_restored(directory, port, result, seconds=RECOVERY_SECONDS)
        give_up()  # where it was cancelled before there was a server to stop
        if follows:
            held.next_step("Following")
            held.progress.note = f"port {started.port} in {directory}"
        await_recovered(directory, held.pause, follows=follows)
    return msgspec.structs.replace(started, fetched_bytes=started.fetched_bytes + log.fetched)


@contextmanager
def _told_whole(result: RestoreResult) -> Iterator[None]:
    """Who reads why it does not start is told that nothing need be restored again."""
    try:
        yield
    except TargetError as error:
        error.hint += (
            f" {result.directory} is restored and whole: once it can start, "
            f"{result.next_steps[-1]}"
        )
        raise


def _made_in_place(
    held: HeldLease, grounds: Grounds, manifest: Manifest, source: Source, share: Share
) -> RestoreResult:
    """Over the server's own directory, what differs."""
    order = _order_of(held)
    directory = grounds.allow(order.target_directory)
    target = InPlaceTarget(directory, order.tablespaces, order.job_id)
    try:
        files = [restored_file(file) for file in manifest.files]
        target.survey(files, manifest.source.system_identifier)
        for place in target.places:
            grounds.allow(str(place))
        writing = InPlace(held, target, manifest, source, share)
        ranges = writing.compare()
        with writing.begun():
            writing.fetch(ranges)
            watch = _verifying(held, target.bytes_to_check)
            recovers = order.recovery is not None
            target.settle = partial(settle_in_place, new_timeline=recovers)
            finished = target.finish(manifest.pg_manifest, order.settings, watch=watch)
    finally:
        target.close()
    result = _result(order, directory, manifest, finished, writing.fetched)
    return msgspec.structs.replace(result, next_steps=[*target.left, *result.next_steps])


def _result(
    order: RestoreOrder, directory: Path, manifest: Manifest, finished: Finished, fetched: int
) -> RestoreResult:
    major = major_of(manifest.source.version_number)
    return RestoreResult(
        directory=str(directory),
        files=finished.files,
        written_bytes=finished.written_bytes,
        fetched_bytes=fetched,
        next_steps=[*finished.next_steps, *next_steps(directory, major, order.port)],
    )


def _verifying(held: HeldLease, total_bytes: int) -> Callable[[int], None]:
    """Every file is read once more: that counts from nothing, and can be stopped like the rest."""
    progress = held.next_step("Verifying", done_bytes=0, total_bytes=total_bytes)

    def watch(count: int) -> None:
        held.check()
        progress.done_bytes += count

    return watch


def restored_file(file: FileFacts) -> RestoredFile:
    """What a target must know of a file of a manifest."""
    return RestoredFile(file.path, file.size, file.mode, file.mtime, file.kind, file.link)
