"""V1, P8: every pair of levels of the engine's factors meets in some row."""

import pytest

from campaign.seed import SEED
from engine_rows import an_engine_story, engine_rows

pytestmark = [pytest.mark.postgres, pytest.mark.V1, pytest.mark.P8]


@pytest.mark.parametrize("row", engine_rows(SEED), ids=str)
def test_a_server_comes_back_as_it_was_from_every_kind_of_point(row, postgres_server):
    with an_engine_story(row) as story:
        story.run(postgres_server(row.target), 0, 1, 2)
