"""What the catalogue lists, storage still has, and keeps for as long: looked at from outside.

The endpoint's scrub reads what its own ledger names. Whoever is root there can take an object
from the disk and from the ledger, or strike out a lock; so once a day every point is compared
with what is listed, without a key and without reading a pack.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points, storage_findings
from strongroom.catalog.resources import vaults
from strongroom.datastore.care.garbage import Unreadable, read_receipt
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.places.container import Container
from strongroom.datastore.statements.receipt import VerifyKey
from strongroom.model.ids import InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.resources.vault import immutability_of
from strongroom.workflows.basis.locking import lock_point
from strongroom.workflows.basis.means import Means
from strongroom.workflows.proof.damage import mark

MISSING, UNLOCKED = "missing", "unlocked"
log = structlog.get_logger()


class Named(Protocol):
    """A point, by its id."""

    @property
    def id(self) -> str:
        """Its own."""


def look_for_lost(means: Means, instance_id: InstanceId) -> list[str]:
    """Names of objects that are not there any more; the points that need them are marked.

    A lock that is shorter than its point's life is told of, and extended again.
    """
    points = _points(means, instance_id)
    found = needs_of(means.storage.container(instance_id), means.keyring.signing.public, points)
    listed = {name for name, _ in means.storage.container(instance_id).list("")}
    still = {point.id for point in _points(means, instance_id)}  # others were purged meanwhile
    needed = {name for point, names in found.items() if point in still for name in names}
    lost = sorted(needed - listed)
    with means.control.database.reading() as connection:
        binds = immutability_of(vaults.of_instance(connection, instance_id)["properties"])
    short: dict[str, str] = {}
    if binds != "Disabled":
        view = means.storage.account_view(instance_id)
        for point in points:
            if point.id in still:
                short |= _lock_again(means, view, point, found[point.id] & listed)
    _tell(means, instance_id, MISSING, dict.fromkeys(lost, "it does not lie in storage any more"))
    _tell(means, instance_id, UNLOCKED, short)
    if lost:
        mark(means, instance_id, lost)
    return lost


def needs_of(blobs: Blobs, signing: VerifyKey, points: Iterable[Named]) -> dict[str, set[str]]:
    """Point -> all objects of it; where no receipt can be read, the two that it begins with.

    Raises StoreUnavailable.
    """
    found = {}
    for point in points:
        names = {f"p/{point.id}.receipt", f"p/{point.id}.manifest"}
        try:
            receipt = read_receipt(blobs, signing, f"p/{point.id}.receipt")
            names |= {pack.name for pack in receipt.packs}
        except Unreadable:
            log.info("receipt.unreadable", point=point.id)
        found[point.id] = names
    return found


def _points(means: Means, instance_id: InstanceId) -> list[RecoveryPoint]:
    states = recovery_points.COMPLETED, recovery_points.SOFT_DELETED
    with means.control.database.reading() as connection:
        return recovery_points.list_of_instance(connection, instance_id, *states)


def _lock_again(
    means: Means, view: Container, point: RecoveryPoint, names: Collection[str]
) -> dict[str, str]:
    """Name -> what is wrong with its lock; one name of each generation stands for all of it."""
    generations: Mapping[str, str] = {
        name.split("/")[1]: name for name in sorted(names) if name.startswith("g/")
    }
    own = [name for name in sorted(names) if name.startswith("p/")]
    short = {}
    for name in (*own, *generations.values()):
        until = view.lock(name).until
        if until is None or Instant.parse_iso(until) < point.expires_at.round(
            "second", mode="floor"
        ):
            short[name] = f"its lock ended {until or 'never'}, its point {point.expires_at}"
    if short:
        lock_point(means, point.instance_id, point.id, generations.keys(), point.expires_at)
    return short


def _tell(means: Means, instance_id: str, kind: str, problems: Mapping[str, str]) -> None:
    now = means.control.clock.now()
    with means.control.database.writing() as connection:
        new = storage_findings.replace(connection, instance_id, kind, problems, now)
        for name in new:
            told = {"instance": instance_id, "problem": problems[name]}
            audit.append(connection, now, "service", (f"storage/{kind}", name), told)
    for name in new:
        log.error(f"storage.{kind}", instance=instance_id, name=name, why=problems[name])
