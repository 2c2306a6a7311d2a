"""X1, the share of every commit: whatever is done in whatever order, what must be kept is kept."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from replicating import Replicating


@pytest.mark.timeout(600)
def test_nothing_that_must_be_kept_is_lost_whatever_is_done_in_whatever_order() -> None:
    few = settings(max_examples=10, stateful_step_count=40, deadline=None, derandomize=True)
    run_state_machine_as_test(Replicating, settings=few)
