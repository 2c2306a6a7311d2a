import json
from pathlib import Path

import pytest

from strongroom.cli.resources.new_policy import read_file
from strongroom.cli.resources.policy import _kept, _tell_points, _tell_years
from strongroom.model.errors import Invalid
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy

POLICY = parse_policy(ten_years_policy())
POINT = {
    "takenAt": "2027-01-01T02:00:00.0000000Z",
    "tag": "Yearly",
    "expiresAt": "2037-01-01T02:00:00.0000000Z",
    "why": "Yearly: the first point of 2027",
}


def test_a_look_ahead_says_when_how_long_and_why(capsys):
    _tell_points([POINT], "none", "points")
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["POINTS", "(UTC)", "TAG", "KEPT", "UNTIL", "WHY"]
    assert row.split()[:4] == ["2027-01-01", "02:00", "Yearly", "2037-01-01"]
    assert row.endswith("the first point of 2027")


def test_a_look_ahead_counts_the_points_of_each_year(capsys):
    year = {"at": "2036-01-01T00:00:00Z", "points": 12, "byTag": {"Yearly": 10, "Monthly": 2}}
    _tell_years([year])
    assert capsys.readouterr().out.splitlines()[-1].split("  ")[-1] == "10 Yearly, 2 Monthly"


def test_retention_is_told_in_words():
    assert _kept(POLICY) == "Default 14 days, Weekly 8 weeks, Monthly 13 months, Yearly 10 years"


def test_a_file_may_hold_a_policy_with_or_without_what_is_around_it(tmp_path: Path):
    file = tmp_path / "policy.json"
    for body in (ten_years_policy(), {"name": "p", "properties": ten_years_policy()}):
        file.write_text(json.dumps(body))
        assert read_file(file) == ten_years_policy()
    for text in ("no json", "[]"):
        file.write_text(text)
        with pytest.raises(Invalid):
            read_file(file)
