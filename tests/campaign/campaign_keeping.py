"""X1 at its size: ten thousand steps and more, another world for each seed."""

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from campaign.seed import SEED
from replicating import Replicating

STEPS = 10_000


class Counted(Replicating):
    steps = 0

    @invariant()
    def a_step_was_taken(self) -> None:
        Counted.steps += 1


@pytest.mark.timeout(1800)
def test_ten_thousand_steps_lose_nothing_that_must_be_kept_at_either_endpoint() -> None:
    many = settings(max_examples=280, stateful_step_count=50, deadline=None, database=None)
    run_state_machine_as_test(seed(SEED)(Counted), settings=many)
    assert Counted.steps >= STEPS
