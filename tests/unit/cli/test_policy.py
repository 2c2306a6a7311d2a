from whenever import Instant

from strongroom.cli.policy import _coming, _kept
from strongroom.model.policy import parse_policy
from strongroom.model.policy_templates import ten_years_policy

POLICY = parse_policy(ten_years_policy())
NEW_YEAR = Instant.parse_iso("2026-12-31T12:00:00Z")


def test_the_preview_promotes_the_first_of_each_period():
    found = _coming(POLICY, NEW_YEAR, 60)
    tags = {each["at"]: each["tag"] for each in found}
    assert tags["2027-01-01 02:00"] == "Yearly"
    assert tags["2027-01-03 02:00"] == "Weekly"
    assert tags["2027-02-01 02:00"] == "Monthly"
    assert tags["2027-02-02 02:00"] == "Default"


def test_the_preview_says_until_when_each_is_kept():
    first = _coming(POLICY, NEW_YEAR, 1)[0]
    assert first["expiresAt"] == "2037-01-01"


def test_retention_is_told_in_words():
    assert _kept(POLICY) == "Default 14 days, Weekly 8 weeks, Monthly 13 months, Yearly 10 years"
