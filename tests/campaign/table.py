"""docs/campaign.md: how far each piece ran last, between the page's two marks."""

from collections.abc import Mapping, Sequence

from campaign.journal import PASSED, Ran
from campaign.pieces import ROOT, Piece

PAGE = ROOT / "docs" / "campaign.md"
MARKS = ("<!-- written by make campaign -->", "<!-- to here -->")
_HEAD = "| piece | looks for | size | ran | seconds | at commit |\n|---|---|---|---|---|---|\n"


def write_page(seed: int, cases: Mapping[Piece, Sequence[str]], ran: Mapping[str, Ran]) -> None:
    """Put the table between the marks."""
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    rows = "".join(row(piece, cases[piece], ran) for piece in cases)
    told = f"\nSeed {seed}, on two cores that others used as well.\n\n{_HEAD}{rows}"
    PAGE.write_text(f"{before}{MARKS[0]}{told}{MARKS[1]}{after}")


def row(piece: Piece, cases: Sequence[str], ran: Mapping[str, Ran]) -> str:
    """One line of the table."""
    known = set(cases)
    found = [each for case, each in ran.items() if case in known]
    passed = sum(each.outcome == PASSED for each in found)
    told = "whole" if passed == len(cases) else f"{passed} of {len(cases)}"
    failed = len(found) - passed
    told = "not once" if not found else told + (f", {failed} failed" if failed else "")
    seconds = f"{sum(each.seconds for each in found):.0f}" if found else ""
    commits = [each.commit for each in found]
    span = " to ".join(dict.fromkeys((commits[0], commits[-1]))) if commits else ""
    words = (piece.name, piece.looks_for, piece.size, told, seconds, span)
    return f"| {' | '.join(words)} |\n"
