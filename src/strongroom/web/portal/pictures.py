"""An instance in pictures: ten years, half a year around today, and the last year day by day."""

from dataclasses import dataclass
from itertools import islice, takewhile

from whenever import Instant

from strongroom.control.overview.fleet import Ship
from strongroom.control.points import taken
from strongroom.control.wal.wal_timeline import WalTimeline
from strongroom.control.work import rounds
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.points.retention import Fire, coming
from strongroom.model.protection.policy import parse_policy
from strongroom.model.work.drill import PASSED, Drill
from strongroom.model.work.job import Job, JobKind
from strongroom.web.portal import band, lens
from strongroom.web.portal.band import Band, Cell
from strongroom.web.portal.door import Visit
from strongroom.web.portal.lens import Lens

MOST_PLANNED = 2500
MOST_MISSED = 6
_DAY = 90_000  # seconds, and an hour for a change of the clock


@dataclass(frozen=True, slots=True)
class Pictures:
    """Ten years, half a year, and the last year by days, with the days that were missed."""

    band: Band | None
    lens: Lens
    days: list[Cell]
    missed: list[tuple[str, Job | None]]  # the day, and the backup that failed on it


def pictures_of(
    visit: Visit,
    policy: str,
    ship: Ship,
    points: list[RecoveryPoint],
    tried: list[Drill],
    log: WalTimeline | None,
) -> Pictures:
    """Of an instance that has points; `policy` is its text."""
    now, zone = visit.now, visit.zone
    lately = taken.taken_lately(visit.control, visit.caller, ship.vault, ship.name)
    planned = _planned(policy, points, now) if ship.next_at is not None else []
    ranges = [(Instant.parse_iso(a), Instant.parse_iso(b)) for a, b in log.ranges] if log else []
    days = band.year_of(
        lately,
        now,
        zone,
        daily=ship.promise_seconds <= _DAY,
        drilled=[each.ended_at for each in tried if each.verdict == PASSED],
    )
    missing = [cell.day for cell in days if cell.step == "none"]
    return Pictures(
        band=band.band_of(points, now, zone),
        lens=lens.lens_of(points, lately, planned, ranges, now, zone),
        days=days,
        missed=_missed(visit, ship.id, missing),
    )


def _planned(policy: str, points: list[RecoveryPoint], now: Instant) -> list[Fire]:
    earlier = [(point.taken_at, point.tag or "Default") for point in points]
    last = lens.until(now)
    ahead = takewhile(lambda fire: fire.at <= last, coming(parse_policy(policy), now, earlier))
    return list(islice(ahead, MOST_PLANNED))


def _missed(visit: Visit, instance_id: str, missing: list[str]) -> list[tuple[str, Job | None]]:
    """The newest days without a point, each with the backup that failed on it, if one did."""
    if not missing:
        return []
    failed: dict[str, Job] = {}
    for job in rounds.ended_jobs(visit.control, visit.caller, instance_id):
        if job.kind is JobKind.BACKUP and job.error:
            failed[job.started_at.to_tz(visit.zone).date().format_iso()] = job
    return [(day, failed.get(day)) for day in reversed(missing[-MOST_MISSED:])]
