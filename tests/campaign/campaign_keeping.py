"""X1 at its size: ten thousand steps and more, another world for each seed."""

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from campaign.seed import SEED
from replicating import Replicating


@pytest.mark.timeout(1800)
def test_ten_thousand_steps_lose_nothing_that_must_be_kept() -> None:
    many = settings(max_examples=250, stateful_step_count=50, deadline=None, database=None)
    run_state_machine_as_test(seed(SEED)(Replicating), settings=many)
