"""V1: every level of the engine's factors, in a few rows; `make campaign` has every pair."""

import pytest

from engine_rows import an_engine_story, engine_rows

pytestmark = [pytest.mark.postgres, pytest.mark.V1, pytest.mark.P8]
SEED = 18


@pytest.mark.parametrize("row", engine_rows(SEED, strength=1), ids=str)
def test_a_server_comes_back_as_it_was_from_every_kind_of_point(row, postgres_server):
    with an_engine_story(row) as story:
        story.run(postgres_server(row.target))
