"""Which recovery point an increment leans on, and when a new generation begins instead.

Every increment makes the newest point a little more scattered and leaves dead bytes in older
packs: a full read puts both in order, and it is asked for when it pays (docs/decisions/0110).
"""

from dataclasses import dataclass

import msgspec
import zstandard

from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection.protection import Protection
from strongroom.datastore.dumps.chunks import distinct_keys
from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.maps.page_parts import open_part
from strongroom.datastore.places.blobs import Blobs
from strongroom.model.errors import Corrupt, NotFound, ObjectMissing
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.work.job import Job
from strongroom.model.work.operation import ParentPoint, ParentReply
from strongroom.workflows.basis.means import Means

LEAST_LIVE = 0.5  # of the stored bytes that the newest point leans on
MOST_PIECES = 4_000_000  # of relations: 112 MB of a manifest, which may have 256
MOST_EXTENTS = 64  # per MiB of relations: a stretch of two pages each


@dataclass(frozen=True, slots=True)
class Choice:
    """A parent, or why there is none."""

    parent: ParentPoint | None = None
    why_full: str = ""


def choose_parent(means: Means, job: Job, found: Protection) -> Choice:
    """The newest committed point of the instance, unless a full backup is due."""
    if job.order.get("full"):
        return Choice(why_full=str(job.order.get("why") or "a full backup was asked for"))
    with means.control.database.reading() as connection:
        points = recovery_points.list_of_instance(connection, job.instance_id)
    newest = next((point for point in points if _may_serve(point)), None)
    if newest is None:
        return Choice(why_full="there is no recovery point to lean on yet")
    known = found.server_facts.get("systemIdentifier", "")
    if known and known != newest.facts["system_identifier"]:
        return Choice(
            why_full="the server is another one: its system identifier has changed since "
            f"{newest.id}"
        )
    return _lean_on(means, job, newest)


def _lean_on(means: Means, job: Job, newest: RecoveryPoint) -> Choice:
    """It must be whole, and worth it."""
    if newest.facts.get("damaged"):
        return Choice(why_full=f"the last point {newest.id} is damaged: nothing leans on it")
    try:
        _, manifest = means.open_point(job.instance_id, newest.id)
    except (Corrupt, ObjectMissing) as error:  # such as one that a second copy never got
        return Choice(why_full=f"the last point {newest.id} cannot be read: {error.message}")
    why = why_refresh(manifest)
    if why:
        return Choice(why_full=why)
    parent = ParentPoint(recovery_point_id=newest.id, generation=manifest.facts.generation)
    return Choice(parent=parent)


def _may_serve(point: RecoveryPoint) -> bool:
    return point.state == "Completed" and point.kind in {"Full", "Incremental"}


def why_refresh(manifest: Manifest) -> str:
    """Why the next backup should begin a new generation; empty while it need not."""
    live = [0] * len(manifest.packs)
    relations = scattered = 0
    kinds = [file.kind for file in manifest.files]
    for extent in manifest.all_extents():
        if kinds[extent.file] != "wal":
            live[extent.pack] += extent.length
        if kinds[extent.file] == "main":
            relations += extent.length
            scattered += 1
    if scattered > MOST_PIECES:
        return f"the last point lies in {scattered} pieces: it is put together again"
    if scattered << 20 > MOST_EXTENTS * max(relations, 1 << 20):
        return (
            f"the last point lies in {scattered} pieces of {relations // scattered >> 10} KiB: "
            "it is put together again"
        )
    held = [(pack, used) for pack, used in zip(manifest.packs, live, strict=True) if used]
    stored = sum(pack.size for pack, _ in held)
    worth = sum(pack.size * min(1.0, used / (pack.raw_size or used)) for pack, used in held)
    if worth < LEAST_LIVE * stored:
        return f"only {worth * 100 // stored:.0f} % of what the last point holds on to is live"
    return ""


def open_parent(means: Means, point_id: str, instance_id: str, part: int = -1) -> ParentReply:
    """What an agent needs of a committed point to take an increment on it.

    With `part` just the page versions in that part: of a large server they come one by one.
    """
    manifest = means.open_point(instance_id, point_id)[1]
    if part < 0:
        return told_of(manifest)
    return told_part(manifest, means.storage.container(instance_id), part)


def told_part(manifest: Manifest, blobs: Blobs, part: int) -> ParentReply:
    """The page versions of one part, and nothing else of worth. Raises NotFound, Corrupt."""
    if part >= len(manifest.page_parts):
        raise NotFound(f"the parent has no part {part} of page versions")
    bare = msgspec.structs.replace(manifest, page_parts=[], pg_manifest=b"", chunks={})
    told = told_of(bare)
    told.page_versions = open_part(blobs, manifest.page_parts[part])
    return told


def told_of(manifest: Manifest) -> ParentReply:
    """The same of its manifest."""
    source = manifest.source
    return ParentReply(
        system_identifier=str(source.system_identifier),
        timeline=source.timeline,
        start_lsn=lsn_to_text(Lsn(source.start_lsn)),
        stop_lsn=lsn_to_text(Lsn(source.stop_lsn)),
        pg_manifest=zstandard.compress(manifest.pg_manifest, 3),
        checksums=source.checksums,
        page_versions=manifest.page_versions,
        page_parts=[part.paths for part in manifest.page_parts],
        chunk_keys=distinct_keys(manifest.chunks),
    )
