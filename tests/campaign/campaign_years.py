"""C2, G1, G2, G3 at their size: many schedules and policies, ten years of several worlds."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from campaign.seed import SEED
from integration.care.test_policy_edits import check_edits
from integration.care.test_ten_years import DAYS, Years
from unit.model.test_against_the_oracle import check_previews, check_schedules, check_tagging
from unit.model.test_what_retention_promises import check_promises

WORLDS = 6


@pytest.mark.timeout(1800)
def test_a_hundred_thousand_schedules_name_the_times_of_a_slow_calendar() -> None:
    check_schedules(SEED, 100_000)


@pytest.mark.timeout(1800)
def test_two_thousand_policies_tag_as_their_text_says() -> None:
    check_tagging(SEED, 2000)


@pytest.mark.timeout(1800)
def test_a_look_ahead_of_a_hundred_policies_shows_what_the_oracle_computes() -> None:
    check_previews(SEED, 100)


@pytest.mark.timeout(1800)
def test_in_four_thousand_lines_retention_keeps_its_promises() -> None:
    check_promises(SEED, 800)


@pytest.mark.timeout(1800)
def test_two_thousand_edits_of_policies_shorten_nothing_that_is_locked_or_held(
    tmp_path: Path,
) -> None:
    check_edits(tmp_path, SEED, 400)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("world", range(WORLDS))
def test_ten_years_of_another_world(tmp_path: Path, world: int) -> None:
    years = Years(tmp_path, SEED * 1000 + world)
    try:
        with capture_logs():
            for _ in range(DAYS):
                years.day()
        years.finish()
    finally:
        years.world.close()
