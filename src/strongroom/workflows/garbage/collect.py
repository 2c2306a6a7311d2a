"""Garbage collection in two phases: condemn what no receipt names, delete it after a grace.

It can never remove what a commit will name:
- a commit takes its packs off the list before it writes its receipt (`keep`), and fails when it
  is too late for one of them;
- deleting is decided in one transaction with a look at the jobs: nothing that a job under way may
  have written or leans on, and nothing whose row that commit took away;
- receipts are read anew in each pass, and one that cannot be read stops it.
A pass that is broken off anywhere is finished by the next one, and freed bytes count once.
"""

from collections.abc import Callable, Collection

import msgspec
import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import condemned, recovery_points, storage_findings
from strongroom.catalog.wal import wal
from strongroom.datastore.care.garbage import Unreadable, read_receipts, unkept_log, unnamed
from strongroom.model.errors import ObjectMissing
from strongroom.model.ids import InstanceId
from strongroom.workflows.basis.means import Means

GRACE_SECONDS = 7 * 86_400.0
LATE_SECONDS = 3600.0  # so long after a job has failed, its last request may still arrive

log = structlog.get_logger()


class Collected(msgspec.Struct, kw_only=True):
    """What one pass found and did. Bytes are stored bytes."""

    condemned_objects: int = 0  # that nobody names, and that are there still
    condemned_bytes: int = 0
    ripe_objects: int = 0  # of them, whose grace was over
    retained_objects: int = 0  # of them, that the endpoint would not delete
    freed_objects: int = 0
    freed_bytes: int = 0  # gone from the listing


def collect(
    means: Means,
    instance_id: str,
    *,
    grace_seconds: float = GRACE_SECONDS,
    dry_run: bool = False,
) -> Collected:
    """One pass over one container: condemn, then delete what was condemned `grace_seconds` ago.

    Raises Unreadable when a receipt or its manifest cannot be read, and StoreError when the
    endpoint cannot be asked: then nothing was deleted.
    """
    clock = means.control.clock
    began = clock.now()
    times = began.subtract(seconds=grace_seconds), began.subtract(seconds=LATE_SECONDS)
    named, garbage = _look(means, instance_id)
    if dry_run:
        return _foreseen(means, instance_id, garbage, times)
    with means.control.database.writing() as connection:
        condemned.condemn(connection, instance_id, garbage, clock.now())
    going, ripe = _decide(means, instance_id, named, times)
    view = means.storage.account_view(instance_id)
    kept = [name for name in going if not view.delete(name)]
    return _account(means, instance_id, ripe, kept)


def keep(means: Means, instance_id: str, names: Collection[str]) -> None:
    """A commit will name these: nobody collects them from now on. Before its receipt is written.

    Raises ObjectMissing when one of them is being deleted already.
    """
    late = pardon(means, instance_id, names)
    if late:
        raise ObjectMissing(
            f"{late[0]} was collected as garbage before this backup could name it",
            hint="The next backup does not lean on it: strongroom backup NAME",
        )


def pardon(means: Means, instance_id: str, names: Collection[str]) -> list[str]:
    """A backup under way leans on these. Returns those that are being deleted already.

    Condemned anew they wait until every job has ended that was under way by then.
    """
    with means.control.database.writing() as connection:
        return condemned.pardon(connection, instance_id, names)


def _look(means: Means, instance_id: str) -> tuple[set[str], dict[str, int]]:
    """Names that receipts need; objects that none of them needs.

    Objects are listed first: what is committed after that has its receipt in the second look.
    """
    blobs, now = means.storage.container(instance_id), means.control.clock.now()
    with means.control.database.reading() as connection:
        states = recovery_points.COMPLETED, recovery_points.SOFT_DELETED
        points = recovery_points.list_of_instance(connection, InstanceId(instance_id), *states)
    live = {point.id for point in points}
    try:
        listing = dict(blobs.list(""))
    except ObjectMissing:  # its protection was never set up: there is no container
        return set(), {}
    try:
        receipts = read_receipts(blobs, means.keyring.signing.public, now, live)
    except Unreadable as error:
        _note_unreadable(means, instance_id, error)
        raise
    _note_unreadable(means, instance_id, None)
    named = {pack.name for receipt in receipts for pack in receipt.packs}
    garbage = unnamed(listing, named)
    with means.control.database.reading() as connection:
        # A catalogue that knows of no stream may be a new one: the log is left alone then.
        if wal.stream_of(connection, instance_id) is not None:
            kept = wal.all_names(connection, instance_id)
            named, garbage = named | kept, {**garbage, **unkept_log(listing, kept)}
    return named, garbage


def _note_unreadable(means: Means, instance_id: str, error: Unreadable | None) -> None:
    problems = {} if error is None else {str(error.facts["name"]): error.message}
    now = means.control.clock.now()
    with means.control.database.writing() as connection:
        storage_findings.replace(connection, instance_id, "unreadable", problems, now)
    if error is not None:
        log.error("garbage.stopped", instance=instance_id, why=error.message)


def _foreseen(
    means: Means, instance_id: str, garbage: dict[str, int], times: tuple[Instant, Instant]
) -> Collected:
    with means.control.database.reading() as connection:
        rows = condemned.list_of_instance(connection, instance_id)
        ripe = _ripe(connection, instance_id, rows, *times)
    return Collected(
        condemned_objects=len(garbage),
        condemned_bytes=sum(garbage.values()),
        ripe_objects=len([row for row in ripe if row["name"] in garbage]),
        retained_objects=len([row for row in rows if row["state"] == condemned.RETAINED]),
    )


def _decide(
    means: Means, instance_id: str, named: set[str], times: tuple[Instant, Instant]
) -> tuple[list[str], int]:
    """What is deleted now, and what was decided by a pass that was broken off; how many are ripe.

    In one transaction: what is chosen here, no commit can name any more.
    """
    with means.control.database.writing() as connection:
        rows = condemned.list_of_instance(connection, instance_id)
        ripe = _ripe(connection, instance_id, rows, *times)
        chosen = {row["name"] for row in ripe} - named
        condemned.set_state(connection, instance_id, chosen, condemned.GOING)
        decided = {row["name"] for row in rows if row["state"] == condemned.GOING}
        # A receipt that arrived after its job had failed: later than anything we wait for.
        condemned.drop(connection, instance_id, decided & named)
    for name in sorted(decided & named):
        log.error("garbage.named_late", instance=instance_id, name=name)
    return sorted(chosen | decided - named), len(ripe)


def _ripe(
    connection: sa.Connection,
    instance_id: str,
    rows: list[sa.RowMapping],
    before: Instant,
    late: Instant,
) -> list[sa.RowMapping]:
    """Condemned before then, and no job that had begun by then may still commit (ended `late`)."""
    oldest = condemned.oldest_unsettled(connection, instance_id, late)
    return [
        row
        for row in rows
        if row["state"] != condemned.GOING
        and row["since"] < before
        and (oldest is None or row["since"] < oldest)
    ]


def _account(means: Means, instance_id: str, ripe: int, kept: Collection[str]) -> Collected:
    """What is gone from the listing is freed, once; the rest stays on the list."""
    there = dict(means.storage.container(instance_id).list(""))
    now = means.control.clock.now()
    with means.control.database.writing() as connection:
        rows = condemned.list_of_instance(connection, instance_id)
        is_gone: Callable[[sa.RowMapping], bool] = lambda row: row["name"] not in there  # noqa: E731
        gone = [row for row in rows if row["state"] == condemned.GOING and is_gone(row)]
        condemned.set_state(connection, instance_id, kept, condemned.RETAINED)
        condemned.drop(connection, instance_id, [row["name"] for row in gone])
        left = [row for row in rows if not is_gone(row)]
        told = Collected(
            condemned_objects=len(left),
            condemned_bytes=sum(row["size"] for row in left),
            ripe_objects=ripe,
            retained_objects=len(kept),
            freed_objects=len(gone),
            freed_bytes=sum(row["size"] for row in gone),
        )
        if gone:
            detail = msgspec.to_builtins(told)
            audit.append(connection, now, "service", ("garbage/collect", instance_id), detail)
    if gone:
        log.info("garbage.collected", instance=instance_id, **msgspec.to_builtins(told))
    return told
