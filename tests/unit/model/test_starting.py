"""When a scheduled backup that is due may start."""

from collections import Counter
from typing import Any

import pytest

from strongroom.model.errors import Invalid
from strongroom.model.protection.starting import Limits, limits_of, wait_seconds
from strongroom.model.resources.vault import merge, read_vault


def test_a_thousand_instances_start_over_a_quarter_of_an_hour_and_no_ten_at_once() -> None:
    waits = Counter(wait_seconds(f"{n:032x}", 1000, None) for n in range(1000))
    assert max(waits) < 999
    assert max(waits) - min(waits) > 900
    assert max(waits.values()) < 10


def test_each_waits_as_long_every_time_and_one_alone_not_at_all() -> None:
    assert wait_seconds("a", 50, None) == wait_seconds("a", 50, None)
    assert wait_seconds("a", 1, None) == 0
    assert wait_seconds("a", 1000, 0) == 0
    assert max(wait_seconds(f"{n}", 10**6, None) for n in range(2000)) < 3600


def test_a_policy_may_name_the_minutes_itself() -> None:
    waits = [wait_seconds(f"{n}", 2, 30) for n in range(500)]
    assert 1700 < max(waits) < 1800


def test_limits_of_a_vault_are_kept_as_they_were_said() -> None:
    before = read_vault(vault({"backupsPerAgent": 1})).settings
    after = merge(before, read_vault(vault({"backupsPerVault": 3})).settings)
    assert limits_of(after) == Limits(backups_per_agent=1, backups_per_vault=3)
    assert limits_of({}) == Limits()


@pytest.mark.parametrize("limits", [{"backupsPerAgent": 0}, {"backupsPerVault": "all"}, "none"])
def test_limits_that_are_none_are_refused(limits: Any) -> None:
    with pytest.raises(Invalid) as refused:
        read_vault(vault(limits))
    assert refused.value.facts["field"].startswith("properties.strongroom")


def vault(limits: Any) -> dict[str, Any]:
    return {"properties": {"strongroom": limits}}
