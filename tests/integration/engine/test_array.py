"""V1: a row a major of the engine's array; `make campaign` has every pair of levels."""

import pytest

from engine_rows import an_engine_story, few_rows

pytestmark = [pytest.mark.postgres, pytest.mark.V1, pytest.mark.P8]
SEED = 2


@pytest.mark.parametrize("row", few_rows(SEED), ids=str)
def test_a_server_comes_back_as_it_was_from_every_kind_of_point(row, postgres_server):
    with an_engine_story(row) as story:
        story.run(postgres_server(row.target), 2)
