"""K1 at a larger size: houses that are killed again and again, each from a seed of its own."""

from contextlib import closing

import pytest

from campaign.seed import SEED
from journey.test_kill import kill_again_and_again
from journey.world import House, Postgres

pytestmark = [pytest.mark.journey, pytest.mark.postgres]
HOUSES, KILLS = 20, 10


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(HOUSES))
def test_two_hundred_kills_leave_whole_points_and_loud_jobs(number: int) -> None:
    with closing(Postgres()) as postgres, closing(House()) as house:
        house.start_all()
        kill_again_and_again(house, postgres, SEED * 100 + number, KILLS)
