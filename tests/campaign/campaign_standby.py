"""P6: a standby at rest, and one that was promoted, on every major."""

import pytest

from engine_checks import check_sound
from integration.servers import ALL_MAJORS
from standbys import a_pair, changed

pytestmark = [pytest.mark.postgres, pytest.mark.P6]


@pytest.mark.parametrize("major", ALL_MAJORS)
def test_a_standby_at_rest_is_backed_up_again_and_again(major):
    """No restart point has come since the parent: what the summaries cannot serve is read."""
    with a_pair(major) as (primary, standby, chain):
        for _ in range(3):
            chain.back_up(standby)
        changed(primary, standby, 1)
        chain.back_up(standby)
        assert all(told.why_full for told in chain.results[1:] if told.kind == "Full")
        with chain.restored(3) as clone:
            assert clone.digests() == primary.digests()


@pytest.mark.parametrize("major", ALL_MAJORS)
def test_a_promoted_standby_leans_on_the_last_point_of_the_old_primary(major):
    with a_pair(major) as (primary, standby, chain):
        chain.back_up(primary)
        changed(primary, standby, 1)
        primary.stop()
        standby.sql("select pg_promote()")
        for number in (2, 3):
            standby.sql(f"update t set md5 = 'change {number}' where g % 301 = {number}")
            assert chain.back_up(standby).kind == "Incremental"
        assert [manifest.source.timeline for manifest in chain.manifests] == [1, 2, 2]
        with chain.restored(2) as clone:
            assert clone.digests() == standby.digests()
            check_sound(clone)
