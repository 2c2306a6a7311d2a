"""What a second copy tells of itself, and when that is wrong: for people, doctor and the log."""

from collections.abc import Mapping
from typing import Any

LAG_SECONDS = 4 * 3600  # from here on it is too far behind


def words_of(told: Mapping[str, Any]) -> str:
    """How far behind it is. `told` is what `secondCopy` of a vault answers."""
    if told.get("error"):
        return f"not known: {told['error']}"
    if told.get("lagSeconds") is None:
        return f"not whole yet: {told.get('behindObjects', 0)} objects to come"
    words = f"{told['lagSeconds'] / 60:.0f} min behind"
    gone = told.get("goneObjects", 0)
    return words + (f"; {gone} objects are gone at the first" if gone else "")


def trouble_of(told: Mapping[str, Any]) -> str:
    """What is wrong with it; empty when nothing is, or when there is none."""
    if not told:
        return ""
    lag, found = told.get("lagSeconds"), []
    if told.get("error") or lag is None or lag > LAG_SECONDS:
        found.append(words_of(told))
    for count, what in (("differing", "differ"), ("damagedObjects", "are damaged there")):
        if told.get(count):
            found.append(f"{told[count]} objects {what}")
    return ", ".join(found)
