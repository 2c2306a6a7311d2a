"""What a policy will keep: which points exist at any moment of the years to come, and why each.

As if every backup went well and took no time, no one held, locked or deleted anything, and the
policy stayed as it is. As in life the newest point stays beyond its time, until another is there.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from whenever import Date, Instant, Time

from strongroom.model.errors import Invalid
from strongroom.model.points.retention import Fire, Point, coming
from strongroom.model.protection.policy import BackupPolicy

MOST_YEARS = 100
MOST_POINTS = 100_000  # an hour apart these are eleven years


@dataclass(frozen=True, slots=True)
class Kept:
    """A point that exists at the moment that was asked for, and a sentence that says why."""

    fire: Fire
    why: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Every backup from `start` to `until`, in order."""

    policy: BackupPolicy
    start: Instant
    until: Instant
    fires: Sequence[Fire]

    def at(self, moment: Instant) -> list[Kept]:
        """The points that exist at this moment, newest first."""
        taken = [fire for fire in self.fires if fire.at <= moment]
        newest = taken[-1:]
        living = [fire for fire in taken[:-1] if fire.verdict.expires_at > moment]
        return [Kept(fire, _why(fire, moment)) for fire in (*newest, *reversed(living))]

    def counts(self, moments: Iterable[Instant]) -> Iterator[tuple[Instant, dict[str, int]]]:
        """How many points exist at each of these moments, by tag."""
        times = [fire.at for fire in self.fires]
        begins: dict[str, list[Instant]] = {}
        ends: dict[str, list[Instant]] = {}
        for fire in self.fires:
            begins.setdefault(fire.verdict.tag, []).append(fire.at)
            ends.setdefault(fire.verdict.tag, []).append(fire.verdict.expires_at)
        for each in ends.values():
            each.sort()
        for moment in moments:
            found = {
                tag: bisect_right(begun, moment) - bisect_right(ends[tag], moment)
                for tag, begun in begins.items()
            }
            taken = bisect_right(times, moment)
            if taken and (newest := self.fires[taken - 1].verdict).expires_at <= moment:
                found[newest.tag] += 1
            yield moment, {tag: count for tag, count in found.items() if count}

    def anniversaries(self) -> Iterator[Instant]:
        """The same time of each year after `start`, to the end."""
        local, year = self.start.to_tz(zone_of_policy(self.policy)), 1
        while (time := local.add(years=year).to_instant()) <= self.until:
            yield time
            year += 1


def preview(
    policy: BackupPolicy, start: Instant, years: int, earlier: Sequence[Point] = ()
) -> Preview:
    """The backups of so many years. Raises Invalid when there are too many to be told."""
    if not 1 <= years <= MOST_YEARS:
        raise Invalid(f"{years} years cannot be looked ahead", hint=f"use 1 to {MOST_YEARS}")
    until = start.to_tz(zone_of_policy(policy)).add(years=years).to_instant()
    fires: list[Fire] = []
    for fire in takewhile(lambda fire: fire.at <= until, coming(policy, start, earlier)):
        if len(fires) == MOST_POINTS:
            raise Invalid(
                f"in {years} years there are more than {MOST_POINTS} backups",
                hint="look fewer years ahead",
            )
        fires.append(fire)
    return Preview(policy, start, until, fires)


def end_of_day(policy: BackupPolicy, day: Date) -> Instant:
    """The last moment of a day, on the clock of the policy's first rule."""
    zone = zone_of_policy(policy)
    following = day.add(days=1).at(Time(0)).assume_tz(zone, disambiguation="compatible")
    return following.to_instant().subtract(nanoseconds=1)


def zone_of_policy(policy: BackupPolicy) -> str:
    """The zone of its first backup rule: a policy has as many as it has rules."""
    return policy.backup_rules[0].time_zone


def _why(fire: Fire, moment: Instant) -> str:
    if fire.verdict.expires_at > moment:
        return fire.verdict.reason
    return f"the last good point: its time as {fire.verdict.tag} is over"
