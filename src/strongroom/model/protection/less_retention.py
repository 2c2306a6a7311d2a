"""Does a policy keep less than another did? Asked before an edit, and of a change of policies.

The answer is on the safe side: what is not surely as much counts as less. A schedule may change
freely: how often a backup is taken is not how long it is kept.
"""

from whenever import Date

from strongroom.model.protection.policy import BackupPolicy, BackupRule, Duration, Tagging

_CYCLE_DAYS = 1461  # of four years: every day that a month or a year can begin on
_FIRST = Date(2024, 1, 1)  # of a leap year


def is_shorter(after: Duration, before: Duration) -> bool:
    """Whether it ends earlier than the other for any day on which both begin."""
    if after == before:
        return False
    starts = [_FIRST.add(days=number) for number in range(_CYCLE_DAYS)]
    return any(_end(start, after) < _end(start, before) for start in starts)


def _end(start: Date, length: Duration) -> Date:
    return start.add(
        years=length.years, months=length.months, weeks=length.weeks, days=length.days
    )


def less_kept(before: BackupPolicy, after: BackupPolicy) -> list[str]:
    """What is kept less, in words, one for each reason; empty: nothing."""
    found = []
    for rule in before.retention_rules:
        now = after.retention_for(rule.name)
        if is_shorter(now.duration, rule.duration):
            found.append(f"{rule.name}: {_text(rule.duration)} becomes {_text(now.duration)}")
    if after.operational_days < before.operational_days:
        found.append(
            f"every second of {before.operational_days} days becomes {after.operational_days}"
        )
    rules = {rule.name.lower(): rule for rule in after.backup_rules}
    for old in before.backup_rules:
        new = rules.get(old.name.lower())
        if new is None:
            found.append(f"backup rule {old.name} is gone, and its tags with it")
        else:
            found += _tags_lost(old, new, after)
    return found


def _tags_lost(old: BackupRule, new: BackupRule, after: BackupPolicy) -> list[str]:
    """Points that got a tag by a criterion that is gone, or that another tag now takes first."""
    kept = {_criterion(tagging) for tagging in new.tagging}
    found = [
        f"{old.name}: which points are {tagging.tag} has changed"
        for tagging in old.tagging
        if _criterion(tagging) not in kept
    ]
    known = {_criterion(tagging) for tagging in old.tagging}
    for added in new.tagging:
        if _criterion(added) in known:
            continue
        length = after.retention_for(added.tag).duration
        outranked = [t for t in old.tagging if t.is_default or t.priority >= added.priority]
        if any(is_shorter(length, after.retention_for(t.tag).duration) for t in outranked):
            found.append(f"{old.name}: {added.tag} takes points that were kept longer")
    return found


def _criterion(tagging: Tagging) -> tuple[object, ...]:
    return (tagging.tag.lower(), tagging.priority, tagging.is_default, tagging.criteria)


def _text(length: Duration) -> str:
    parts = ((length.years, "Y"), (length.months, "M"), (length.weeks, "W"), (length.days, "D"))
    return "P" + "".join(f"{count}{unit}" for count, unit in parts if count)
