"""Names in a sentence: the first of them, and how many there are beside."""

from collections.abc import Sequence


def first_few(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
