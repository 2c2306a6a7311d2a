"""Whether an instance has the point that each tag of its policy promises: this week's, month's,
year's.
"""

from dataclasses import dataclass

from whenever import Instant

from strongroom.model.protection.policy import BackupPolicy

_DAYS = {"FirstOfDay": 1, "FirstOfWeek": 7, "FirstOfMonth": 31, "FirstOfYear": 366}
_GRACE = 1.25


@dataclass(frozen=True, slots=True)
class Covered:
    """`newest_at`: of its points with this tag. `state`: ok | lacking | waiting (too young)."""

    tag: str
    newest_at: Instant | None
    state: str


def periods_of(policy: BackupPolicy) -> dict[str, int]:
    """Tag -> days from one of its points to the next, of those that are for firsts alone."""
    found: dict[str, int] = {}
    for rule in policy.backup_rules:
        for tagging in rule.tagging:
            firsts = [name for each in tagging.criteria for name in each.absolute if name in _DAYS]
            if firsts:
                found[tagging.tag] = max(_DAYS[name] for name in firsts)
    return found


def coverage(
    periods: dict[str, int], newest: dict[str, Instant], created_at: Instant, now: Instant
) -> list[Covered]:
    """Of each tag, the longest period last."""
    return [
        Covered(tag, newest.get(tag), _state(days, newest.get(tag), created_at, now))
        for tag, days in sorted(periods.items(), key=lambda each: each[1])
    ]


def _state(days: int, newest: Instant | None, created_at: Instant, now: Instant) -> str:
    def is_young(moment: Instant) -> bool:
        return (now - moment).total("hours") <= 24 * days * _GRACE

    if newest is not None and is_young(newest):
        return "ok"
    return "waiting" if is_young(created_at) else "lacking"
