"""Snapshots of the catalogue's settings in storage: written whenever one of them changes.

A new one is written each day besides, and each is locked for a month: there always is one that
nobody takes away. It has the jobs of the last thirty days that had ended by then.
"""

import base64
import contextlib
from typing import Any

import sqlalchemy as sa
import structlog
from blake3 import blake3
from whenever import Instant

from strongroom.catalog import snapshots
from strongroom.catalog.oversight import audit
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.places.container import Immutability
from strongroom.datastore.rescue.snapshot import (
    CONTAINER,
    Snapshot,
    read_snapshot_name,
    seal_snapshot,
    snapshot_name,
)
from strongroom.model.errors import ObjectExists, ObjectMissing
from strongroom.model.oversight.audit import canonical
from strongroom.workflows.basis.means import Means

LOCKED_DAYS = 30
KEPT = 20  # of those that are not locked
JOB_DAYS = 30
_DAY = 86_400
_WANTED = Immutability("Locked", LOCKED_DAYS)

log = structlog.get_logger()


def container_of(installation: str) -> str:
    """Where an installation's snapshots lie."""
    return f"{CONTAINER}{installation}"


def write_snapshot(means: Means) -> bool:
    """One of the settings as they are, unless the newest says the same; whether it was new."""
    control, recovery = means.control, means.keyring.recovery
    installation, now = control.installation.tenant_id, control.clock.now()
    files = {n: base64.b64encode(raw).decode() for n, raw in sorted(means.own_files().items())}
    blobs = means.storage.container(container_of(installation))
    names = names_of(blobs)
    with control.database.reading() as connection:
        sequence, _ = audit.head(connection)
        digest = _digest(connection, [files, recovery.key_id.hex(), _day(now)])
        if _is_said(names, digest):
            return False
        since = now.subtract(hours=24 * JOB_DAYS)
        tables = {
            name: [canonical(row) for row in rows]
            for name, rows in snapshots.take(connection, since)
        }
    view = means.storage.account_view(container_of(installation))
    view.ensure()
    if view.immutability() != _WANTED:
        view.set_immutability(_WANTED)
    head = Snapshot(
        installation=installation, sequence=sequence, at=now.format_iso(), tables={}, files=files
    )
    with contextlib.suppress(ObjectExists):
        sealed = seal_snapshot(recovery, means.keyring.signing, head, tables)
        blobs.create(snapshot_name(sequence, digest), sealed)
    for name in names[:-KEPT]:
        view.delete(name)
    log.info("snapshot.written", record=sequence)
    return True


def _digest(connection: sa.Connection, beside: list[Any]) -> str:
    """Of what would be told, a row at a time: mostly there is nothing new."""
    digest = blake3(canonical(beside))
    for name, rows in snapshots.compared(connection):
        digest.update(canonical(name))
        for row in rows:
            digest.update(canonical(row))
    return digest.hexdigest()


class Snapshots:
    """Writes one when the audit says that something has changed, and when a day is over."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._seen = (-1, -1)

    def keep(self) -> None:
        """Raises StoreError; then it is tried again."""
        control = self._means.control
        with control.database.reading() as connection:
            sequence, _ = audit.head(connection)
        now = sequence, _day(control.clock.now())
        if now != self._seen:
            write_snapshot(self._means)
            self._seen = now


def _is_said(names: list[str], digest: str) -> bool:
    newest = read_snapshot_name(names[-1]) if names else None
    return newest is not None and newest[1] == digest


def _day(now: Instant) -> int:
    return now.timestamp() // _DAY


def names_of(blobs: Blobs) -> list[str]:
    """Of all snapshots, the newest last; none where there is no such container."""
    try:
        names = [name for name, _ in blobs.list("s/")]
    except ObjectMissing:
        return []
    return sorted(name for name in names if read_snapshot_name(name) is not None)
