"""The tables of docs/security.md: each is written by the test that fills its cells.

`UPDATE_GOLDEN=1` writes them anew.
"""

import os
from collections.abc import Mapping

from house.tree import ROOT

PAGE = ROOT / "docs" / "security.md"
LAST = "<!-- end -->\n"


def check_table(mark: str, columns: list[str], rows: Mapping[str, list[str]]) -> None:
    """The page's table behind the comment `mark` is this one."""
    first = f"<!-- {mark} -->\n"
    page = PAGE.read_text()
    before, rest = page.split(first)
    now = before + first + drawn(columns, rows) + LAST + rest.partition(LAST)[2]
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(now)
    assert PAGE.read_text() == now


def drawn(columns: list[str], rows: Mapping[str, list[str]]) -> str:
    head = f"| | {' | '.join(columns)} |\n|---{'|---' * len(columns)}|\n"
    return head + "".join(f"| {what} | {' | '.join(said)} |\n" for what, said in rows.items())
