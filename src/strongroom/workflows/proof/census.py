"""A census of receipts: what storage says was committed, the catalogue says too.

The receipt is the commit. When the answer to its create is lost and the store stays away, the job
has failed and the point is whole: here it is listed after all. The job stays as it ended.
"""

from collections.abc import Iterator

import msgspec
import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import censuses, recovery_points, storage_findings
from strongroom.catalog.protection import protection
from strongroom.catalog.work import agent_operations, jobs
from strongroom.datastore.care.garbage import has_ended
from strongroom.datastore.maps.manifest import Contents, Manifest, tablespace_sizes
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.verify import DAMAGE, verify_manifest
from strongroom.datastore.statements.receipt import Receipt
from strongroom.model.errors import Corrupt, ObjectMissing, StoreUnavailable, VaultError
from strongroom.model.ids import GenerationId, InstanceId, JobId, RecoveryPointId
from strongroom.model.points import retention
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.policy import parse_policy
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.operation import BackupResult
from strongroom.workflows.backup import strangeness
from strongroom.workflows.backup.commit import told_facts
from strongroom.workflows.basis.means import Means

EVERY_SECONDS = 86_400.0  # for a container of whose jobs none has failed
_LONGEST_PAUSE_SECONDS = 0.1

log = structlog.get_logger()


def take_due(means: Means) -> list[RecoveryPointId]:
    """The census of every instance whose turn it is. Returns the points that were adopted.

    One that cannot be taken now is logged and stays due.
    """
    before = means.control.clock.now().subtract(seconds=EVERY_SECONDS)
    with means.control.database.reading() as connection:
        due = censuses.list_due(connection, before)
    adopted, clock = [], means.control.clock
    for instance_id in due:
        began = clock.monotonic()
        try:
            adopted += take_census(means, instance_id)
        except VaultError as error:
            log.warning("census.not_taken", instance=instance_id, why=error.message)
        # Whoever calls the API has a turn: of a thousand, one after the other, calls waited for.
        if means.control.stopping.wait(min(clock.monotonic() - began, _LONGEST_PAUSE_SECONDS)):
            break
    return adopted


def take_census(
    means: Means, instance_id: InstanceId, *, reread: bool = True
) -> list[RecoveryPointId]:
    """Compare one container's receipts with the catalogue; add what is missing. Safe twice.

    Without `reread` packs are looked up, as long as they were: their bytes are the scrub's.
    """
    control = means.control
    began = control.clock.now()
    adopted, problems = [], {}
    for name in list(_receipts(means, instance_id)):
        try:
            point = _unlisted(means, instance_id, name, reread=reread)
            if point is not None and _adopt(means, point):
                adopted.append(point.id)
        except DAMAGE as error:
            problems[name] = error.message
    with control.database.writing() as connection:
        new = storage_findings.replace(
            connection, instance_id, "quarantined", problems, control.clock.now()
        )
        for name in new:
            told = {"instance": instance_id, "problem": problems[name]}
            audit.append(connection, began, "service", ("receipt/quarantine", name), told)
        censuses.note(connection, instance_id, began)
    for name in new:
        log.error("receipt.quarantined", instance=instance_id, name=name, why=problems[name])
    return adopted


def _receipts(means: Means, instance_id: str) -> Iterator[str]:
    """Of points that the catalogue does not know; of those of a job under way it knows soon."""
    try:
        found = [name for name, _ in means.storage.container(instance_id).list("p/")]
    except ObjectMissing:  # its protection was never set up: there is no container
        return
    with means.control.database.reading() as connection:
        known = recovery_points.ids_of_instance(connection, instance_id)
        running = set(jobs.list_running(connection))
    for name in found:
        point = name.removeprefix("p/").removesuffix(".receipt")
        if not name.endswith(".receipt") or point in known:
            continue
        if _job_of(point) not in running:
            yield name


def _unlisted(
    means: Means, instance_id: InstanceId, name: str, *, reread: bool
) -> RecoveryPoint | None:
    """The point of a receipt, proven whole; None when the receipt has gone meanwhile.

    Raises Corrupt, ObjectMissing and WrongKey: then it is no point.
    """
    blobs = means.storage.container(instance_id)
    try:
        receipt = means.keyring.signing.public.check(blobs.read(name))
    except ObjectMissing:
        return None
    if has_ended(receipt, means.control.clock.now()) and not _has_manifest(blobs, receipt):
        return None  # its point was over, and went; the catalogue has forgotten it since
    expected = (instance_id, f"p/{receipt.recovery_point_id}.receipt")
    if (receipt.instance_id, name) != expected:
        raise Corrupt("the receipt is of another point, or of another instance")
    _, manifest = means.open_point(instance_id, receipt.recovery_point_id)
    verify_manifest(manifest, receipt)
    if reread:
        _verify_packs(means, receipt)
    else:
        _look_up(means, receipt)
    return _point(means, receipt, manifest)


def _has_manifest(blobs: Blobs, receipt: Receipt) -> bool:
    name = f"p/{receipt.recovery_point_id}.manifest"
    return any(found == name for found, _ in blobs.list(name))


def _verify_packs(means: Means, receipt: Receipt) -> None:
    """The endpoint re-reads every pack; what lies there is what the receipt states."""
    wanted = {pack.name: pack for pack in receipt.packs}
    for digest in means.storage.account_view(receipt.instance_id).digests(list(wanted)):
        pack = wanted.pop(digest.name)
        if digest.missing:
            raise ObjectMissing(f"{digest.name} is not in storage")
        if digest.corrupt or (digest.size, digest.blake3) != (pack.size, pack.blake3):
            raise Corrupt(f"{digest.name} is not what was written")
    if wanted:
        raise StoreUnavailable(f"the storage endpoint said nothing about {len(wanted)} packs")


def _look_up(means: Means, receipt: Receipt) -> None:
    blobs, sizes = means.storage.container(receipt.instance_id), dict[str, int]()
    for folder in sorted({pack.name.rpartition("/")[0] for pack in receipt.packs}):
        sizes.update(blobs.list(f"{folder}/"))
    for pack in receipt.packs:
        if pack.name not in sizes:
            raise ObjectMissing(f"{pack.name} is not in storage")
        if sizes[pack.name] != pack.size:
            raise Corrupt(f"{pack.name} is not what was written")


def _kind(manifest: Manifest) -> str:
    """Packs of an increment lie in the generation that another point began."""
    facts = manifest.facts
    if facts.kind == LOGICAL.lower():
        return LOGICAL
    return "Full" if facts.generation in {"", facts.recovery_point_id} else "Incremental"


def _point(means: Means, receipt: Receipt, manifest: Manifest) -> RecoveryPoint:
    with means.control.database.reading() as connection:
        found = protection.by_id(connection, receipt.instance_id)
        operation = agent_operations.get(connection, _job_of(receipt.recovery_point_id))
    told = dict(operation["result"] or {}) if operation is not None else {}
    ends = _end(means, receipt)
    source = manifest.source
    facts = {
        "version_number": source.version_number,
        "system_identifier": str(source.system_identifier),
        "timeline": source.timeline,
        "start_lsn": _lsn(source.start_lsn),
        "stop_lsn": _lsn(source.stop_lsn),
        "files": len(manifest.files),
        "packs": len(manifest.packs),
        "restore_bytes": receipt.stored_bytes,
        "tablespaces": tablespace_sizes(manifest.files),
        **told_facts(manifest.contents or Contents()),
    }
    return RecoveryPoint(
        id=RecoveryPointId(receipt.recovery_point_id),
        instance_id=found.instance_id,
        job_id=JobId(_job_of(receipt.recovery_point_id)),
        kind=told.get("kind") or _kind(manifest),
        taken_at=Instant.parse_iso(receipt.taken_at),
        committed_at=Instant.parse_iso(receipt.committed_at),
        expires_at=ends,
        tag=_tag(receipt, found.policy, ends),
        policy_id=found.policy_id,
        policy_version=found.policy_version,
        policy_name=found.policy_name,
        generation=GenerationId(manifest.facts.generation or receipt.recovery_point_id),
        manifest_size=receipt.manifest_size,
        manifest_blake3=receipt.manifest_blake3,
        raw_bytes=sum(file.size for file in manifest.files),
        stored_bytes=receipt.stored_bytes,
        facts=facts,
        state="Completed",
    )


def _strange(connection: sa.Connection, point: RecoveryPoint) -> list[str]:
    """As its own job would have found it; nothing where nobody knows what its agent reported."""
    operation = agent_operations.get(connection, point.job_id)
    if operation is None or not operation["result"]:
        return []
    result = msgspec.convert(operation["result"], BackupResult)
    return strangeness.judge(connection, jobs.get(connection, point.job_id), result)


def _end(means: Means, receipt: Receipt) -> Instant:
    """As the receipt states; later where its lock was extended since (apply_policy.py)."""
    view = means.storage.account_view(receipt.instance_id)
    signed = Instant.parse_iso(receipt.expires_at)
    until = view.lock(f"p/{receipt.recovery_point_id}.manifest").until
    if until is None or Instant.parse_iso(until) < signed.add(seconds=1):  # it has whole seconds
        return signed
    return Instant.parse_iso(until)


def _tag(receipt: Receipt, policy: str, ends: Instant) -> str:
    """As the receipt states; of one that was promoted since (promote.py) its end tells."""
    if ends == Instant.parse_iso(receipt.expires_at):
        return receipt.tag
    taken_at = Instant.parse_iso(receipt.taken_at)
    return retention.tag_of_end(parse_policy(policy), taken_at, ends, receipt.tag)


def _job_of(point: str) -> str:
    """The job of a point (commit.point_id_of, backwards); what is no id is of no job."""
    return "-".join((point[:8], point[8:12], point[12:16], point[16:20], point[20:]))


def _lsn(number: int) -> str:
    """As PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def _adopt(means: Means, point: RecoveryPoint) -> bool:
    """List it, unless somebody has meanwhile."""
    now = means.control.clock.now()
    with means.control.database.writing() as connection:
        known = recovery_points.ids_of_instance(connection, point.instance_id)
        if point.id in known or point.job_id in jobs.list_running(connection):
            return False
        strangeness.add_point(connection, point, _strange(connection, point), now)
        told = {"job": point.job_id, "tag": point.tag, "expires": point.expires_at.format_iso()}
        audit.append(connection, now, "service", ("recoveryPoint/adopt", point.id), told)
    log.warning("recovery_point.adopted", instance=point.instance_id, point=point.id)
    return True
