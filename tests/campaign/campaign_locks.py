"""L1 at its size: extensions of locks that fail for up to thirty nights, in every way."""

import random
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from campaign.seed import SEED
from integration.care.test_lock_horizon import AFTER, Trouble, go_through
from store_shelf import AWAY, LIES, LOST

CASES = 30
FORTNIGHT = 14


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", range(CASES))
def test_no_point_is_without_its_locks_however_long_they_cannot_be_extended(
    tmp_path: Path, case: int
) -> None:
    chance = random.Random(f"{SEED}-{case}")
    jump = timedelta(hours=chance.choice((0, 0, 1, -1, 24 * 40, -24 * 40, 24 * 3653)))
    trouble = Trouble("drawn", case + 1, chance.choice((AWAY, LIES, LOST)), jump)
    with capture_logs():
        found = go_through(tmp_path, trouble)
    try:
        *harm, nights, told, remains = found.cells()
        assert harm == ["no"] * 4
        assert (int(nights), told) == (trouble.nights, "in the first night")
        assert remains == "there" or trouble.nights + AFTER > FORTNIGHT
    finally:
        found.close()
