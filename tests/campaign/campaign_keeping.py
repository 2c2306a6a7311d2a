"""X1 at its size: ten thousand steps and more, in pieces, each from a seed of its own."""

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from campaign.seed import SEED
from replicating import Replicating

PIECES, STEPS = 8, 1250  # of a piece, at least


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("piece", range(PIECES))
def test_ten_thousand_steps_lose_nothing_that_must_be_kept_at_either_endpoint(piece: int) -> None:
    steps = 0

    class Counted(Replicating):
        @invariant()
        def a_step_was_taken(self) -> None:
            nonlocal steps
            steps += 1

    many = settings(max_examples=40, stateful_step_count=50, deadline=None, database=None)
    run_state_machine_as_test(seed(SEED * 100 + piece)(Counted), settings=many)
    print(f"{steps} steps")
    assert steps >= STEPS
