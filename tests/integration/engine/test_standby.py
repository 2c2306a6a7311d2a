"""P6: primary and standby in turn: each point has the rows of its time."""

import pytest

from integration.servers import some
from standbys import a_pair, changed, wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.P6]


@pytest.mark.parametrize("major", some(17))
def test_points_of_primary_and_standby_lean_on_each_other(major):
    with a_pair(major) as (primary, standby, chain):
        wanted = []
        for number, server in enumerate((primary, standby, standby, primary, standby)):
            changed(primary, standby, number)
            primary.sql("checkpoint")  # of which the standby can make a restart point
            wait_for(primary, standby)
            chain.back_up(server)
            wanted.append(primary.digests())
        kinds = [told.kind for told in chain.results]
        assert kinds == ["Full", *["Incremental"] * 4], [told.why_full for told in chain.results]
        for number in (2, 3, 4):
            with chain.restored(number) as clone:
                assert clone.digests() == wanted[number]
