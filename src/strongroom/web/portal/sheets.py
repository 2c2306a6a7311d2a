"""Rows of CSV that a spreadsheet takes for text, whoever chose the names in them."""

from collections.abc import Iterable

_STARTS = ("=", "+", "-", "@", "\t", "\r")


def safe_row(values: Iterable[object]) -> list[object]:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it.

    Source: OWASP, "CSV injection".
    """
    return [
        f"'{each}" if isinstance(each, str) and each.startswith(_STARTS) else each
        for each in values
    ]
