"""Keep what a stream has put: read again, locked, recorded. Open what a recovery reads of it.

The row in the catalogue is the commit of a range: the agent is told of no more, and tells the
server of no more. A pack that is in storage and has no row is garbage.
"""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import protection as protections
from strongroom.catalog.resources import vaults
from strongroom.catalog.wal import wal
from strongroom.catalog.work import agent_operations
from strongroom.control.wal.wal_coverage import forks_of
from strongroom.datastore.packs.pack import HEADER_SIZE, open_content_key
from strongroom.datastore.packs.wal_pack import log_header, seal_log_keys
from strongroom.model.errors import Corrupt, Invalid, NotFound, ObjectMissing
from strongroom.model.protection.operational_tier import operational_days
from strongroom.model.resources.vault import immutability_of
from strongroom.model.wal import (
    MOST_REPORTED,
    WalHistory,
    WalKept,
    WalMissing,
    WalPack,
    WalReport,
    WalRequest,
    check_pack,
)
from strongroom.workflows.basis.locking import lock_names
from strongroom.workflows.basis.means import Means
from strongroom.workflows.garbage.collect import keep

_SIDE_BY_SIDE = 8
_ENDLESS = 1 << 62  # of a timeline that is followed
_RECENTLY = 10  # minutes: a pack is reported when it lies in storage

log = structlog.get_logger()


def keep_wal(means: Means, instance_id: str, report: WalReport) -> None:
    """From an agent's report to rows. Safe twice. Raises ObjectMissing, Corrupt, Invalid."""
    if len(report.packs) > MOST_REPORTED:
        raise Invalid(f"{len(report.packs)} packs of log in one report", hint="update the agent")
    for pack in report.packs:
        check_pack(pack, report.epoch)
    _read_again(means, instance_id, report.packs)
    now = means.control.clock.now()
    until = now.add(hours=24 * days_kept(means, instance_id))
    _lock(means, instance_id, report.packs, until)
    keep(means, instance_id, [pack.name for pack in report.packs])
    with means.control.database.writing() as connection:
        found = wal.stream_of(connection, instance_id)
        gap = report.gap or _jump(found, report)
        if gap is not None and wal.add_gap(connection, instance_id, gap, now):
            told = msgspec.to_builtins(gap)
            audit.append(connection, now, "service", ("wal/gap", instance_id), told)
            log.error("wal.gap", instance=instance_id, **told)
        for history in report.histories:
            wal.add_history(connection, instance_id, report.system_identifier, history)
        system = report.system_identifier
        wal.add_packs(connection, instance_id, system, report.packs, (now, until))
        if report.packs:
            last = report.packs[-1]
            facts = {} if found is None else dict(found["facts"])
            sizes = {**facts.get("segmentSizes", {}), system: report.segment_size}
            facts |= {"tailStart": last.tail_start, "tail": last.tail.hex()}
            facts |= {"segmentSizes": sizes, "unended": msgspec.to_builtins(last.unended)}
            wal.set_stream(
                connection,
                instance_id,
                system_identifier=report.system_identifier,
                timeline=last.timeline,
                end_lsn=last.end,
                segment_size=report.segment_size,
                told_at=now,
                facts=facts,
            )


def _jump(row: sa.RowMapping | None, report: WalReport) -> WalMissing | None:
    """A range that does not join what is kept, though nobody spoke of a gap."""
    if row is None or not report.packs or not row["timeline"]:
        return None
    first = report.packs[0]
    same = row["system_identifier"] == report.system_identifier
    if same and first.timeline != row["timeline"]:
        return None  # another timeline begins anew; where it left the last one, its history says
    if same and first.start <= row["end_lsn"]:
        return None
    end = first.start if same else 0
    why = "the stream went on elsewhere" if same else "another server answers"
    return WalMissing(timeline=row["timeline"], start=row["end_lsn"], end=end, why=why)


def _read_again(means: Means, instance_id: str, packs: list[WalPack]) -> None:
    """The endpoint re-reads every pack, or has done so when it came: success is a re-read."""
    wanted = {pack.name: pack for pack in packs}
    if not wanted:
        return
    since = means.control.clock.now().subtract(minutes=_RECENTLY)
    for digest in means.storage.account_view(instance_id).digests(list(wanted), since):
        pack = wanted[digest.name]
        if digest.missing:
            raise ObjectMissing(f"{digest.name} is not in storage")
        if digest.corrupt or (digest.size, digest.blake3) != (pack.size, pack.blake3):
            raise Corrupt(f"{digest.name} is not what the agent wrote")


def days_kept(means: Means, instance_id: str) -> int:
    """How long the log is kept."""
    with means.control.database.reading() as connection:
        found = protections.by_id(connection, instance_id)
    return max(operational_days(found.properties, found.policy), 1)


def _lock(means: Means, instance_id: str, packs: list[WalPack], until: Instant) -> None:
    """As long as the window lasts, where the vault locks at all."""
    with means.control.database.reading() as connection:
        vault = vaults.of_instance(connection, instance_id)
    if immutability_of(vault["properties"]) == "Disabled" or not packs:
        return
    lock_names(means, instance_id, [pack.name for pack in packs], until)


def open_wal(means: Means, operation_id: str, request: WalRequest) -> WalKept:
    """The packs that hold what follows a position, with their keys. Raises NotFound, StoreError,

    WrongKey.
    """
    with means.control.database.reading() as connection:
        row = agent_operations.get(connection, operation_id)
        if row is None:
            raise NotFound(f"there is no operation {operation_id[:64]}")
        order = row["order"]
        instance_id, recovery = order["instanceId"], order["recovery"]
        ends = [end for timeline, _, end in recovery["timelines"] if timeline == request.timeline]
        place = (request.timeline, request.start, max(ends, default=_ENDLESS))
        rows = wal.packs_between(
            connection, instance_id, recovery["system"], place, min(request.most, MOST_REPORTED)
        )
        histories: list[WalHistory] = []
        if recovery.get("follow") and not rows:
            histories = _gone_on(connection, (instance_id, recovery["system"]), request.timeline)
    blobs = means.at(order).storage.container(instance_id)

    def key_of(name: str) -> bytes:
        header = log_header(blobs.read_range(name, 0, HEADER_SIZE))
        return open_content_key(header, means.keyring.pair_of(instance_id, header.key_id))

    packs = [wal.pack_of(each) for each in rows]
    names = [pack.name for pack in packs]
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="keys") as pool:
        keys = dict(zip(names, pool.map(key_of, names), strict=True))
    return WalKept(
        packs=packs,
        sealed=seal_log_keys(keys, request.session_public_key, operation_id),
        histories=histories,
    )


def _gone_on(connection: sa.Connection, of: tuple[str, str], timeline: int) -> list[WalHistory]:
    """Those that came by this timeline, and of which log is kept; the newest is the last."""
    kept = wal.ranges_of(connection, *of)
    return [
        WalHistory(timeline=each, text=text)
        for each, text in sorted(wal.histories_of(connection, *of).items())
        if each in kept and timeline in dict(forks_of(text))
    ]
