"""What a vault must hold on any day: told what happened, it works out the rest by itself.

It knows the texts of the policies, when the service was awake, how each backup ended, and what
people asked for. From that follow which backups begin, the tag and the end of every point, and
which points are there. Source: Azure's documentation of schedules, retention and the states of a
backup instance; docs/decisions 0041 and 0161.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from oracle.almanac import Interval
from oracle.tagging import Policy, Reading, verdict

Slot = tuple[str, int]  # (rule, which of its intervals)
PROTECTED, STOPPED, SUSPENDED = "protected", "stopped", "suspended"


@dataclass
class Point:
    taken: datetime
    tag: str
    ends: datetime
    held: set[str] = field(default_factory=set)


@dataclass
class Server:
    """One backup instance."""

    reading: Reading
    due: dict[Slot, datetime] = field(default_factory=dict)
    state: str = PROTECTED
    running: set[str] = field(default_factory=set)  # rules whose backups are under way
    points: dict[str, Point] = field(default_factory=dict)  # those that are there
    past: list[tuple[datetime, str]] = field(default_factory=list)  # of all that ever were
    held: set[str] = field(default_factory=set)

    def intervals(self) -> Iterator[tuple[Slot, Interval]]:
        for rule in self.reading.rules:
            for number, text in enumerate(self.reading.intervals(rule)):
                yield (rule, number), Interval.of(text, self.reading.zone(rule))

    def follow(self, policy: Policy, at: datetime) -> None:
        """The policy says this from now on; what is due and waits stays due."""
        self.reading = Reading(policy)
        self.plan(at)

    def plan(self, at: datetime) -> None:
        waiting = {slot: time for slot, time in self.due.items() if time <= at}
        self.due = {}
        if self.state != PROTECTED:
            return
        for slot, interval in self.intervals():
            time = waiting.get(slot) or interval.next(at)
            if time is not None:
                self.due[slot] = time

    def enter(self, state: str, at: datetime) -> None:
        self.state = state
        self.plan(at)
        if state == PROTECTED:
            self.expire(at)

    def awake(self, at: datetime) -> list[tuple[str, datetime]]:
        """(rule, when it was due) of the backups that begin now: one, as one runs at a time.

        The rule's own, still under way, leaves it out; another's makes it wait.
        """
        begun = []
        for slot, time in sorted(self.due.items(), key=lambda item: item[1]):
            rule = slot[0]
            if time > at or (self.running and rule not in self.running):
                continue
            following = dict(self.intervals())[slot].next(at)
            if following is None:
                del self.due[slot]
            else:
                self.due[slot] = following
            if not self.running:
                begun.append((rule, time))
                self.running.add(rule)
        return begun

    def commit(
        self, point: str, rule: str, taken: datetime, asked: str, due: datetime | None
    ) -> None:
        """A backup has ended well."""
        tag, ends = verdict(self.reading, rule, taken, self.past, asked, due)
        self.points[point] = Point(taken, tag, ends)
        self.past.append((taken, tag))

    def expire(self, at: datetime) -> None:
        """What is over goes: not the newest, not what is held, nothing while a backup runs."""
        if self.state == STOPPED or self.held or self.running or not self.points:
            return
        newest = max(self.points, key=lambda name: self.points[name].taken)
        for name, point in list(self.points.items()):
            if point.ends <= at and not point.held and name != newest:
                del self.points[name]

    def living(self) -> set[tuple[str, str, datetime]]:
        """(point, tag, end) of all that are there."""
        return {(name, point.tag, point.ends) for name, point in self.points.items()}
