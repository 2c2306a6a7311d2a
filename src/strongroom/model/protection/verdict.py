"""Two questions about an instance: is it protected, and would it restore?

protection: ok | late (beyond the promise) | bad (far beyond it, or nothing at all) | waiting (its
first backup is still to come) | paused (somebody stopped it). proof: ok (a drill passed lately) |
old (it did, long ago) | failed | never.
"""

from dataclasses import dataclass

from whenever import Instant

from strongroom.model.protection.policy import BackupPolicy
from strongroom.model.protection.protection_state import ABLE, CONFIGURING, STOPPED, SUSPENDED
from strongroom.model.protection.schedule import Repeating

GRACE = 1.25  # of the promise: a backup takes its time
FAR = 2.0
PROOF_DAYS = 92
# How each looks: a shape and a colour of the portal's.
LOOKS = {
    "ok": "ok",
    "late": "risk",
    "bad": "bad",
    "waiting": "wait",
    "paused": "paused",
    "old": "risk",
    "failed": "risk",
    "never": "unknown",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of an instance."""

    state: str  # of its protection
    created_at: Instant
    newest_at: Instant | None  # its newest whole point
    promise_seconds: float  # between two backups
    drill: str  # verdict of the newest drill; empty: none
    drilled_at: Instant | None


def promise_of(policy: BackupPolicy) -> float:
    """Seconds between two backups, on the average, of the rule that fires most often."""
    rates = [_rate(rule.intervals) for rule in policy.backup_rules]
    return 1.0 / max(rates) if rates else float("inf")


def _rate(intervals: tuple[Repeating, ...]) -> float:
    return sum(1.0 / each.seconds for each in intervals)


def protection(sight: Sight, now: Instant) -> str:
    """ok, late, bad, waiting or paused."""
    if sight.state in {STOPPED, SUSPENDED}:
        return "paused"
    since = sight.newest_at or sight.created_at
    age = (now - since).total("seconds") / sight.promise_seconds
    if sight.newest_at is None:
        beginning = sight.state == CONFIGURING or sight.state in ABLE
        return "waiting" if beginning and age <= GRACE else "bad"
    if sight.state not in ABLE and sight.state != CONFIGURING:
        return "bad"
    if age <= GRACE:
        return "ok"
    return "late" if age <= FAR else "bad"


def proof(sight: Sight, now: Instant) -> str:
    """ok, old, failed or never."""
    if sight.drilled_at is None:
        return "never"
    if sight.drill != "Passed":
        return "failed"
    days = (now - sight.drilled_at).total("hours") / 24
    return "ok" if days <= PROOF_DAYS else "old"


def worse(protected: str, proved: str) -> str:
    """The look of both together: bad, risk, wait, paused, unknown or ok."""
    looks = [LOOKS[protected], LOOKS[proved]]
    return min(looks, key=("bad", "risk", "paused", "wait", "unknown", "ok").index)
