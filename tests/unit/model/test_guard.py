"""What counts as less protection, and what a guard may leave out."""

import itertools
from typing import Any

import pytest

from strongroom.model.errors import Invalid
from strongroom.model.resources import guard
from strongroom.model.resources.soft_delete import OFF
from strongroom.model.resources.vault import IMMUTABILITY, SOFT_DELETE


def settings(immutability: str = "Disabled", state: str = "On", days: int = 14) -> dict[str, Any]:
    soft = {"state": state, "retentionDurationInDays": days}
    return {
        "securitySettings": {
            "immutabilitySettings": {"state": immutability},
            "softDeleteSettings": soft,
        }
    }


@pytest.mark.parametrize(("before", "after"), [*itertools.product(IMMUTABILITY, repeat=2)])
def test_only_a_step_down_is_less_immutability(before: str, after: str):
    down = IMMUTABILITY.index(after) < IMMUTABILITY.index(before)
    found = guard.weakened(settings(before), settings(after))
    assert found == ([guard.WEAKEN_IMMUTABILITY] if down else [])


@pytest.mark.parametrize(
    ("before", "after"),
    [*itertools.product(itertools.product(SOFT_DELETE, (14, 30)), repeat=2)],
)
def test_a_lower_state_or_fewer_days_are_less_soft_delete(
    before: tuple[str, int], after: tuple[str, int]
):
    lower = SOFT_DELETE.index(after[0]) < SOFT_DELETE.index(before[0])
    fewer = after[1] < before[1] and before[0] != OFF
    found = guard.weakened(
        settings(state=before[0], days=before[1]), settings(state=after[0], days=after[1])
    )
    assert found == ([guard.WEAKEN_SOFT_DELETE] if lower or fewer else [])


def test_a_vault_that_was_never_told_has_soft_delete_to_lose():
    assert guard.weakened({}, settings()) == []
    assert guard.weakened({}, settings(state="Off")) == [guard.WEAKEN_SOFT_DELETE]


def exclusions(*names: Any) -> list[str]:
    return guard.read_exclusions({"properties": {"vaultCriticalOperationExclusionList": [*names]}})


def test_what_guards_the_guard_is_never_left_out():
    for operation in guard.OPERATIONS:
        if operation.always:
            with pytest.raises(Invalid, match="always protected"):
                exclusions(operation.name)
        else:
            left = exclusions(operation.name.upper())
            assert operation not in guard.protected(left)
            assert len(guard.protected(left)) == len(guard.OPERATIONS) - 1


def test_what_is_left_out_is_told_in_the_order_in_which_it_was_asked_once_each():
    names = [each.name for each in guard.OPERATIONS if not each.always][::-1]
    assert exclusions(*names, names[0].upper()) == names


def test_names_of_other_vaults_may_be_left_out_and_nonsense_may_not():
    assert exclusions("Microsoft.RecoveryServices/vaults/backupPolicies/write")
    for wrong in ("Microsoft.Compute/x", "", 7):
        with pytest.raises(Invalid):
            exclusions(wrong)


def test_an_approval_is_for_one_thing_on_one_resource():
    digests = {
        guard.digest_of(operation, scope, asked)
        for operation in guard.OPERATIONS
        for scope in ("/a", "/b")
        for asked in ({}, {"to": 1})
    }
    assert len(digests) == len(guard.OPERATIONS) * 4
    assert guard.digest_of(guard.DELETE_POINT, "/A/", {}) == guard.digest_of(
        guard.DELETE_POINT, "/a", {}
    )
