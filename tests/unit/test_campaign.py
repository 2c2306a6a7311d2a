"""The campaign's own book: what ran is known after any interruption, and told as it was."""

from pathlib import Path

from campaign import journal, table
from campaign.pieces import Piece

PIECE = Piece("kills", "tests/campaign/campaign_kills.py", "kills", "3 houses")
CASES = ["kills::one", "kills::two", "kills::three"]


def test_a_line_that_an_interruption_cut_off_is_no_case_that_ran(tmp_path: Path) -> None:
    place = tmp_path / "seed-1.jsonl"
    journal.write(place, "kills::one", "failed", 1.0, "aaaaaaa")
    journal.write(place, "kills::two", "passed", 2.0, "aaaaaaa")
    journal.write(place, "kills::one", "passed", 3.0, "bbbbbbb")
    place.write_text(place.read_text() + '{"case": "kills::thr')
    ran = journal.read(place)
    assert {case: each.outcome for case, each in ran.items()} == {
        "kills::one": "passed",
        "kills::two": "passed",
    }
    assert table.row(PIECE, CASES, ran) == (
        "| kills | kills | 3 houses | 2 of 3 | 5 | aaaaaaa to bbbbbbb |\n"
    )


def test_a_piece_is_whole_only_when_every_case_has_passed(tmp_path: Path) -> None:
    place = tmp_path / "seed-1.jsonl"
    assert "| not once |" in table.row(PIECE, CASES, journal.read(place))
    for case in CASES:
        journal.write(place, case, "passed", 1.0, "aaaaaaa")
    assert "| whole | 3 | aaaaaaa |" in table.row(PIECE, CASES, journal.read(place))
    journal.write(place, CASES[0], "failed", 1.0, "aaaaaaa")
    assert "| 2 of 3, 1 failed |" in table.row(PIECE, CASES, journal.read(place))
