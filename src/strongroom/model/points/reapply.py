"""A policy, as it is now, applied to points that exist: which end later, sooner, or as before.

A point keeps its tag; what changes is how long the tag is kept. Nothing ends sooner than
a lock, a hold or the state of its instance allows, and nothing whose tag has left the policy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.points.retention import expiry
from strongroom.model.protection.policy import BackupPolicy


@dataclass(frozen=True, slots=True)
class Change:
    """When a point ends from now on, and a sentence that says why."""

    point: RecoveryPoint
    ends: Instant
    why: str

    @property
    def longer(self) -> bool:
        """It ends later than it did."""
        return self.ends > self.point.expires_at

    @property
    def shorter(self) -> bool:
        """It ends sooner than it did."""
        return self.ends < self.point.expires_at


def plan(
    policy: BackupPolicy,
    points: Sequence[RecoveryPoint],
    *,
    immutable: bool,
    stays: Mapping[str, str],
) -> list[Change]:
    """Of all points of one instance, those whose end the policy names otherwise; oldest first.

    `stays`: point -> what keeps it for the time being (a state, a hold).
    """
    found = []
    for point in sorted(points, key=lambda point: point.taken_at):
        rule = policy.retention_for(point.tag)
        if rule.name.lower() != point.tag.lower():
            continue
        zones = {backup.time_zone for backup in policy.backup_rules}
        ends = {expiry(point.taken_at.to_tz(zone), rule.duration) for zone in zones}
        if point.expires_at not in ends:
            kept = "the vault is immutable: its lock stays" if immutable else stays.get(point.id)
            found.append(_change(point, max(ends), rule.name, kept or ""))
    return found


def _change(point: RecoveryPoint, ends: Instant, tag: str, kept: str) -> Change:
    if ends > point.expires_at:
        return Change(point, ends, f"{tag} is kept longer now")
    if kept:
        return Change(point, point.expires_at, kept)
    return Change(point, ends, f"{tag} is kept shorter now")
