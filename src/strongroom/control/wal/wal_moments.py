"""Choose the point and the log that lead to a moment, or say why none do.

A time is the server's own clock: what was committed up to then is there, and nothing later. It is
never planned past the last commit that is kept, for PostgreSQL would refuse to end recovery there.
"""

from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.wal import wal
from strongroom.control.wal.wal_coverage import Kept, Path, Reach, Stretch, every_kept
from strongroom.model.errors import NotFound, Precondition
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.wal import IMMEDIATE, Recovery
from strongroom.model.wal_moment import FOLLOW, LSN, NAME, TIME, Moment
from strongroom.model.work.logical import LOGICAL

_ENDLESS = 1 << 62
_PAGE, _NAMED_BYTES = 8192, 98  # of log; a restore point's record
_PROMOTIONS = 4  # one after the other, of which nobody has told us yet
CODE = "UserErrorRecoveryPointNotAvailable"


class Choice(msgspec.Struct, kw_only=True):
    """From where, through which log. recovery None: the point itself is the moment.

    reached: what is there at the end, for people; capped: less than was asked for, all there is.
    """

    point: RecoveryPoint
    recovery: Recovery | None
    reached: str
    capped: bool = False
    log_bytes: int = 0


def choose(connection: sa.Connection, found: Protection, moment: Moment) -> Choice:
    """Raises Precondition and NotFound: what cannot be reached is refused before it begins."""
    every = every_kept(connection, found)
    reached = ((kept, path) for kept in every if (path := kept.path(moment.timeline)) is not None)
    first = next(reached, None)
    if first is None:
        raise Precondition(
            f"no log of {found.server_name} is kept"
            + (f" of timeline {moment.timeline}" if moment.timeline else ""),
            hint="restore a recovery point, and stream from now on: "
            "strongroom server set NAME --keep-every-second 7d",
            code=CODE,
        )
    choice = _look(connection, *first, moment)
    for kept, path in reached:  # of systems that this one took the place of
        if choice is None and _was_there(connection, kept, path, moment):
            choice = _look(connection, kept, path, moment)
    if choice is None:
        raise _unreachable(connection, every, first[1], moment)
    if choice.recovery is not None and not choice.capped:
        choice.recovery.inclusive = not moment.before
    return choice


def _look(connection: sa.Connection, kept: Kept, path: Path, moment: Moment) -> Choice | None:
    looks = {TIME: _to_time, LSN: _to_lsn, NAME: _to_name, FOLLOW: _following}
    look = looks.get(moment.kind, _to_xid)
    return look(connection, kept, kept.reaches(path), moment)


def _was_there(connection: sa.Connection, kept: Kept, path: Path, moment: Moment) -> bool:
    """Whether a system that is no more had it: its log ends for good, and nothing is capped."""
    if moment.kind == TIME:
        ranges = times_of(connection, kept, kept.reaches(path))
        return any(start <= moment.at <= end for start, end in ranges)
    if moment.kind == LSN:
        last = kept.ranges[path.timeline][-1]
        return moment.lsn <= last[1]
    return moment.kind != FOLLOW


def apart(connection: sa.Connection, found: Protection, point: RecoveryPoint) -> Recovery | None:
    """To a point itself, where its server's log is kept: on a timeline of its own.

    On the same one the server would write other log in the places of what is kept.
    """
    system = str(point.facts.get("system_identifier"))
    every = {kept.system: kept for kept in every_kept(connection, found)}
    if system not in every or point.kind == LOGICAL:
        return None
    kept = every[system]
    return Recovery(
        kind=IMMEDIATE,
        value=IMMEDIATE,
        system=kept.system,
        timeline=int(point.facts["timeline"]),
        segment_size=kept.segment_size,
        timelines=[],
        histories={str(each): text for each, text in kept.histories.items()},
    )


def begin_apart(
    connection: sa.Connection, found: Protection, recovery: Recovery, now: Instant
) -> Recovery:
    """The same, with the timeline that it begins.

    Until its history is kept, nobody but us knows that a server has a number: two restores, one
    soon after the other, would take the same. Nor have we heard yet of a standby that is promoted
    meanwhile: it takes the number behind its own.
    """
    if recovery.follow:
        return recovery
    known = {recovery.timeline, *(int(each) for each in recovery.histories)}
    for kept in every_kept(connection, found):
        known |= {*kept.ranges, *(int(point.facts["timeline"]) for point in kept.points)}
    least = max(known) + 1 + _PROMOTIONS
    begins = wal.promise_timeline(connection, found.instance_id, least, now)
    return msgspec.structs.replace(recovery, begins=begins)


def _packs(connection: sa.Connection, kept: Kept, reach: Reach) -> Iterator[sa.RowMapping]:
    for stretch in reach.stretches:
        yield from wal.packs_between(connection, kept.instance_id, kept.system, stretch)


def _ending(connection: sa.Connection, kept: Kept, reach: Reach) -> Iterator[sa.RowMapping]:
    """Packs whose last commit lies on the way, and not where a timeline was left before it.

    What such a pack tells of commits may be told of those that nobody comes by.
    """
    for stretch in reach.stretches:
        for pack in wal.packs_between(connection, kept.instance_id, kept.system, stretch):
            if pack["commits"] and pack["last_lsn"] < stretch[2]:
                yield pack


def _to_time(
    connection: sa.Connection, kept: Kept, reaches: list[Reach], moment: Moment
) -> Choice | None:
    at, end = moment.microseconds, _live_end(kept, moment)
    for reach in reaches:
        if reach.point.committed_at > moment.at:
            continue
        for pack in _ending(connection, kept, reach):
            if pack["last_at"] > at - moment.before and pack["end_lsn"] > reach.stop:
                value = moment.at.format_iso(unit="microsecond").replace("Z", "+00")
                limit = pack["timeline"], pack["end_lsn"]
                return _choice(connection, kept, reach, (TIME, value), limit, str(moment))
        if (reach.stretches[-1][0], reach.end) == end:
            return _to_the_end(connection, kept, reach)
    return None


def _to_lsn(
    connection: sa.Connection, kept: Kept, reaches: list[Reach], moment: Moment
) -> Choice | None:
    for reach in reaches:
        if reach.stop > moment.lsn or moment.lsn > reach.end:
            continue
        for pack in _ending(connection, kept, reach):
            if pack["last_lsn"] >= moment.lsn:  # a record that begins there or later is whole here
                limit = pack["timeline"], pack["end_lsn"]
                what = LSN, moment.value
                return _choice(connection, kept, reach, what, limit, str(moment))
        return _to_the_end(connection, kept, reach)
    return None


def _to_name(
    connection: sa.Connection, kept: Kept, reaches: list[Reach], moment: Moment
) -> Choice | None:
    rows = wal.list_names(connection, kept.instance_id, kept.system, moment.value)
    for row in reversed(rows):
        for reach in reaches:
            place = row["timeline"], row["lsn"]
            if not _lies_on(reach, place):
                continue
            same = [each for each in rows if _lies_on(reach, (each["timeline"], each["lsn"]))]
            if len(same) == 1:
                return _choice(connection, kept, reach, (NAME, moment.value), place, str(moment))
            # PostgreSQL ends at the first of a name that it comes by.
            what = LSN, lsn_to_text(Lsn(_start_of_named(row["lsn"], kept.segment_size)))
            at = Instant.from_timestamp(row["at"], unit="microsecond").format_iso()
            told = f"{moment}, the last of {len(rows)} of that name, of {at}"
            return _choice(connection, kept, reach, what, place, told)
    return None


def _lies_on(reach: Reach, place: tuple[int, int]) -> bool:
    """Whether what ends there is come by."""
    within = any(t == place[0] and s < place[1] <= e for t, s, e in reach.stretches)
    return within and reach.stop < place[1]


def _start_of_named(end: int, segment_size: int) -> int:
    """Of a restore point's record: all have one length, and pages' headers are no part of it.

    Source: PostgreSQL src/include/access/xlogrecord.h and xlog_internal.h (xl_restore_point).
    """
    page = (end - 1) // _PAGE * _PAGE
    head = 24 if page % segment_size else 40
    here = max(end - page - head, 0)
    return end - _NAMED_BYTES if here >= _NAMED_BYTES else page - (_NAMED_BYTES - here)


def _to_xid(
    connection: sa.Connection, kept: Kept, reaches: list[Reach], moment: Moment
) -> Choice | None:
    xid = int(moment.value)
    for reach in reversed(reaches):  # from the oldest: all that may be it must lie behind
        packs = [
            pack
            for pack in _packs(connection, kept, reach)
            if pack["least_xid"] <= xid <= pack["most_xid"] and pack["end_lsn"] > reach.stop
        ]
        packs, is_sure = _ended_in(connection, kept, packs, xid)
        if packs:
            told = str(moment) if is_sure else f"{moment}, unless it is a subtransaction"
            limit = packs[-1]["timeline"], packs[-1]["end_lsn"]
            before = [each for each in reaches if each.stop <= packs[0]["start_lsn"]]
            if not before:
                told += ", unless it had ended before the recovery point"
            chosen, what = (before or [reach])[0], ("xid", moment.value)
            return _choice(connection, kept, chosen, what, limit, told)
    return None


def _ended_in(
    connection: sa.Connection, kept: Kept, packs: list[sa.RowMapping], xid: int
) -> tuple[list[sa.RowMapping], bool]:
    """Those in which it may have ended, and whether it has.

    Raises NotFound where it is known to be a part of another, and to have ended by itself nowhere:
    PostgreSQL ends a recovery where it finds the commit or the end of a whole transaction, and a
    subtransaction has none of its own.
    """
    unsure: list[sa.RowMapping] = []
    whole = 0
    for pack in packs:
        told = wal.ended_in(connection, kept.instance_id, pack["name"])
        if any(first <= xid <= last for first, last in told["ended"]):
            return [pack], True
        whole = next((of for first, last, of in told["parts"] if first <= xid <= last), whole)
        if not told["ended"]:
            unsure.append(pack)
    if whole:
        raise NotFound(
            f"{xid} is a subtransaction: a savepoint of transaction {whole}, or a block of it",
            hint=f"whole transactions can be restored to: --at-xid {whole}",
            code=CODE,
        )
    return unsure, False


def _following(
    connection: sa.Connection, kept: Kept, reaches: list[Reach], moment: Moment
) -> Choice | None:
    """From the newest point that is joined to the log's end, on and on."""
    end = _live_end(kept, moment)
    for reach in reaches:
        if (reach.stretches[-1][0], reach.end) == end:
            what, limit = (FOLLOW, "on"), (end[0], _ENDLESS)
            found = _choice(connection, kept, reach, what, limit, "all that comes")
            if found.recovery is not None:
                last = (end[0], reach.stretches[-1][1], _ENDLESS)
                found.recovery.timelines = [*reach.stretches[:-1], last]
                found.recovery.follow = True
                # It goes on with whatever is newest: of other branches it must not know.
                line = [str(timeline) for timeline, _, _ in found.recovery.timelines]
                told = found.recovery.histories
                found.recovery.histories = {each: told[each] for each in line if each in told}
            return found
    return None


def _to_the_end(connection: sa.Connection, kept: Kept, reach: Reach) -> Choice:
    """Up to the last commit that is kept."""
    last = None
    for pack in _ending(connection, kept, reach):
        if pack["last_lsn"] < reach.stop:
            continue
        is_on = last is not None and last["timeline"] == pack["timeline"]
        # Of packs that overlap, as where an archive takes over, the later one may end first.
        if last is None or not is_on or last["last_lsn"] < pack["last_lsn"]:
            last = pack
    if last is None:
        reached = f"the recovery point itself: nothing was committed since {reach.point.taken_at}"
        return Choice(point=reach.point, recovery=None, reached=reached, capped=True)
    value = lsn_to_text(Lsn(last["last_lsn"]))
    at = Instant.from_timestamp(last["last_at"], unit="microsecond").format_iso()
    limit = last["timeline"], last["end_lsn"]
    reached = f"the last commit that is kept, of {at}"
    found = _choice(connection, kept, reach, (LSN, value), limit, reached)
    found.capped = True
    return found


def _choice(
    connection: sa.Connection,
    kept: Kept,
    reach: Reach,
    what: tuple[str, str],
    limit: tuple[int, int],
    reached: str,
) -> Choice:
    stretches = _cut(reach, limit)
    size = sum(
        row["size"]
        for stretch in stretches
        for row in wal.packs_between(connection, kept.instance_id, kept.system, stretch)
    )
    timeline = limit[0]
    recovery = Recovery(
        kind=what[0],
        value=what[1],
        system=kept.system,
        timeline=timeline,
        segment_size=kept.segment_size,
        timelines=stretches,
        histories={str(each): text for each, text in kept.histories.items()},
    )
    return Choice(point=reach.point, recovery=recovery, reached=reached, log_bytes=size)


def _cut(reach: Reach, limit: tuple[int, int]) -> list[Stretch]:
    """The stretches up to a place and no further."""
    found: list[Stretch] = []
    for timeline, start, end in reach.stretches:
        if timeline == limit[0]:
            return [*found, (timeline, start, min(end, limit[1]))]
        found.append((timeline, start, end))
    return found


def _live_end(kept: Kept, moment: Moment) -> tuple[int, int]:
    timeline = moment.timeline or max(kept.ranges)
    return timeline, kept.ranges[timeline][-1][1]


def _unreachable(
    connection: sa.Connection, every: Sequence[Kept], path: Path, moment: Moment
) -> Precondition | NotFound:
    ranges = every_time(connection, every, moment.timeline)
    words = "; ".join(f"{first.format_iso()} to {last.format_iso()}" for first, last in ranges)
    hint = f"restorable on timeline {path.timeline}: {words or 'nothing yet'}"
    if moment.kind in {NAME, "xid"}:
        return NotFound(f"the log that is kept holds no {moment}", hint=hint, code=CODE)
    if moment.kind == TIME and ranges and moment.at < ranges[0][0]:
        why = "lies before all that can be reached: it is kept no more, or never was"
        return Precondition(f"{moment} {why}", hint=hint, code=CODE)
    return Precondition(f"{moment} cannot be reached without a hole", hint=hint, code=CODE)


def every_time(
    connection: sa.Connection, every: Sequence[Kept], timeline: int = 0
) -> list[tuple[Instant, Instant]]:
    """`times_of` the log of every system, the oldest first."""
    found = [
        times
        for kept in every
        if (path := kept.path(timeline)) is not None
        for times in times_of(connection, kept, kept.reaches(path))
    ]
    return sorted(found)


def times_of(
    connection: sa.Connection, kept: Kept, reaches: list[Reach]
) -> list[tuple[Instant, Instant]]:
    """Between which times every moment can be reached, the oldest first."""
    found: list[tuple[Instant, Instant]] = []
    known: dict[tuple[int, int], int] = {}  # (timeline, end of the log) -> its last commit
    for reach in reversed(reaches):  # the oldest of those that end alike reads all of their log
        place = reach.stretches[-1][0], reach.end
        if place not in known:
            known[place] = _last_commit(connection, kept, reach)
        last, start = known[place], reach.point.committed_at
        end = max(start, Instant.from_timestamp(last, unit="microsecond"))
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _last_commit(connection: sa.Connection, kept: Kept, reach: Reach) -> int:
    return max(
        wal.last_commit(connection, kept.instance_id, kept.system, stretch)
        for stretch in reach.stretches
    )
