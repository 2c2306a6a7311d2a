"""Policies in sentences: what they say is what the API holds; no other is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.errors import Invalid
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import azure_default_policy, ten_years_policy
from strongroom.model.protection.simple_policy import EVERY, SimplePolicy, simple_of

SIMPLE = st.builds(
    SimplePolicy,
    every=st.sampled_from(sorted(EVERY)),
    at=st.integers(0, 23).map(lambda hour: f"{hour:02}:30"),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
    days=st.integers(1, 400),
    weeks=st.integers(0, 60),
    months=st.integers(0, 60),
    years=st.integers(0, 20),
    backup_type=st.just("Full"),
    rule=st.just("BackupDaily"),
    anchor=st.just("2026-01-01"),
)


@given(SIMPLE)
def test_what_was_written_in_sentences_reads_as_the_same_sentences(wish: SimplePolicy) -> None:
    assert simple_of(wish.to_properties()) == wish


def test_the_policy_of_ten_years_is_a_simple_one() -> None:
    found = simple_of(ten_years_policy())
    assert found is not None
    assert (found.at, found.days, found.weeks, found.months, found.years) == (
        "02:00",
        14,
        8,
        13,
        10,
    )
    assert parse_policy(found.to_properties()) == parse_policy(ten_years_policy())


def test_a_policy_that_keeps_months_by_default_is_not_said_in_days() -> None:
    assert simple_of(azure_default_policy()) is None


@pytest.mark.parametrize("wrong", [{"at": "25:00"}, {"every": "P2D"}, {"zone": "Mars/Olympus"}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        SimplePolicy(**wrong).to_properties()
