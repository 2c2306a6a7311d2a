"""The daily digest: what is protected, what failed, what comes."""

from collections.abc import Iterator

import msgspec
from whenever import Instant

from strongroom.model.sizes import told_size

_MOST = 20  # lines of a kind; how many more there are is told
_STATES = {"ok": "protected", "late": "late", "bad": "not protected", "waiting": "waiting"}
_STATES |= {"paused": "paused"}


class DigestTime(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """At which hour, in which zone (IANA's name); once a day, from then on."""

    hour: int
    zone: str = "UTC"

    def day(self, now: Instant) -> str:
        """The day whose digest is due, 2026-11-27. Raises ValueError for a zone that is none."""
        local = now.to_tz(self.zone)
        day = local.date() if local.hour >= self.hour else local.date().add(days=-1)
        return day.format_iso()


class Digest(msgspec.Struct, kw_only=True, frozen=True):
    """Of everything, for whoever runs it. Bytes are stored bytes."""

    at: Instant
    protection: dict[str, int]  # state -> instances
    unprotected: list[str]  # "name: why"
    proved: int  # instances whose newest drill passed lately
    instances: int
    points: int  # committed in the last day
    stored_bytes: int  # anew, by them
    failed: list[str]  # jobs of the last day
    alerts: list[str]  # there still, the worst first
    backups_due: int  # in the next day
    points_ending: int
    purges: list[str]
    approvals: int
    headroom_bytes: int | None
    days_until_full: float | None

    @property
    def title(self) -> str:
        """A line for a subject."""
        bad = self.protection.get("bad", 0) + self.protection.get("late", 0)
        if bad:
            return f"{bad} of {self.instances} instances are late or not protected"
        if self.alerts or self.failed:
            return f"protected; {len(self.alerts)} alerts, {len(self.failed)} failed jobs"
        return f"all is well: {self.instances} instances"

    def lines(self) -> Iterator[str]:
        """For people to read."""
        yield "Protected"
        there = [(self.protection.get(state, 0), word) for state, word in _STATES.items()]
        counts = ", ".join(f"{count} {word}" for count, word in there if count)
        yield f"  {counts or 'nothing yet'}; {self.proved} of {self.instances} proved by a drill"
        anew = told_size(self.stored_bytes)
        yield f"  {self.points} new points, {anew} stored anew in the last day"
        yield from _listed(self.unprotected)
        yield "Failed in the last day"
        yield from _listed(self.failed) if self.failed else ["  nothing"]
        yield "Needs somebody"
        yield from _listed(self.alerts) if self.alerts else ["  nothing"]
        if self.approvals:
            yield f"  {self.approvals} requests wait for a second person"
        yield "Comes in the next day"
        yield f"  {self.backups_due} backups are due, {self.points_ending} points end"
        yield from _listed([f"{name} goes for good within three days" for name in self.purges])
        if self.headroom_bytes is not None:
            days = self.days_until_full
            until = "" if days is None else f", about {days:.0f} days at the growth of late"
            yield f"  storage has {told_size(self.headroom_bytes)} left{until}"


def _listed(lines: list[str]) -> Iterator[str]:
    for line in lines[:_MOST]:
        yield f"  - {line}"
    if len(lines) > _MOST:
        yield f"  and {len(lines) - _MOST} more"
