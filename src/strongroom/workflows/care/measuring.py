"""What each instance and point takes in storage, counted once a day from receipts and a listing.

A receipt names all packs of its point: no key is needed, and no manifest is read. What a point
that came later has put is added to the last count where somebody asks (control/overview/costs.py).
"""

from whenever import Instant

from strongroom.catalog.points import recovery_points
from strongroom.catalog.usage import usage
from strongroom.control.overview import bills
from strongroom.datastore.care.garbage import COLLECTED
from strongroom.model.errors import ObjectMissing
from strongroom.model.ids import InstanceId
from strongroom.model.points.usage import Share, Tally, Usage
from strongroom.workflows.basis.means import Means

KEPT_DAYS = 400


def day_of(at: Instant) -> str:
    """Of UTC: 2026-11-27."""
    return at.format_iso()[:10]


def measure_due(means: Means, instance_id: InstanceId) -> None:
    """Count it, unless that was done today."""
    day = day_of(means.control.clock.now())
    with means.control.database.reading() as connection:
        if usage.is_noted(connection, instance_id, day):
            return
    measure(means, instance_id)


def measure(means: Means, instance_id: InstanceId) -> None:
    """Count one container. Raises StoreError, Corrupt: then the day before still counts."""
    control, blobs = means.control, means.storage.container(instance_id)
    now = control.clock.now()
    with control.database.reading() as connection:
        states = recovery_points.COMPLETED, recovery_points.SOFT_DELETED
        points = recovery_points.list_of_instance(connection, instance_id, *states)
        server = usage.server_bytes(connection, instance_id)
    try:
        listing = dict(blobs.list(""))
    except ObjectMissing:  # its protection was never set up: there is no container
        return
    tally, own = Tally(), dict[str, int]()
    for point in points:
        name = f"p/{point.id}.receipt"
        if name not in listing:  # it came after the listing, or is going now
            continue
        receipt = means.keyring.signing.public.check(blobs.read(name))
        tally.add(point.id, ((pack.name, pack.size) for pack in receipt.packs))
        own[point.id] = listing[name] + listing.get(f"p/{point.id}.manifest", 0)
    shares = {
        point: Share(share.unique + own[point], share.shared)
        for point, share in tally.shares().items()
    }
    found = _usage(instance_id, now, listing, tally, server)
    with control.database.writing() as connection:
        there = recovery_points.ids_of_instance(connection, instance_id)
        kept = {point: share for point, share in shares.items() if point in there}
        usage.note(connection, found, kept)
        bills.note_bills(control, connection, instance_id)
        usage.forget(connection, day_of(now.subtract(hours=24 * KEPT_DAYS)))


def _usage(
    instance_id: str, now: Instant, listing: dict[str, int], tally: Tally, server: int
) -> Usage:
    shares, names = tally.shares().values(), tally.names()
    return Usage(
        instance_id=instance_id,
        day=day_of(now),
        at=now,
        stored_bytes=sum(listing.values()),
        points_bytes=sum(size for name, size in listing.items() if name in names),
        unique_bytes=sum(share.unique for share in shares),
        log_bytes=sum(size for name, size in listing.items() if name.startswith("w/")),
        waiting_bytes=sum(
            size
            for name, size in listing.items()
            if name.startswith(COLLECTED) and name not in names
        ),
        full_bytes=sum(share.unique + share.shared for share in shares),
        server_bytes=server,
    )
