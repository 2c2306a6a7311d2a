"""A vault as asked: what we cannot keep is not promised, what is locked stays locked."""

from typing import Any

import pytest

from strongroom.model.errors import Invalid, Locked
from strongroom.model.vault import merge, read_vault


def settings(**asked: Any) -> dict[str, Any]:
    return read_vault({"properties": asked}).settings


def test_keys_come_in_any_case_and_go_out_canonical() -> None:
    wish = read_vault(
        {
            "IDENTITY": {"Type": "systemassigned"},
            "Properties": {
                "STORAGESETTINGS": [{"DatastoreType": "vaultstore", "Type": "zoneredundant"}],
                "securitysettings": {"softdeletesettings": {"state": "on"}},
            },
        }
    )
    assert wish.settings == {
        "storageSettings": [{"datastoreType": "VaultStore", "type": "ZoneRedundant"}],
        "securitySettings": {
            "softDeleteSettings": {"state": "On", "retentionDurationInDays": 14.0}
        },
    }


def test_read_only_fields_that_come_back_are_ignored() -> None:
    assert settings(provisioningState="Failed", secureScore="Maximum", replicatedRegions=[]) == {}


@pytest.mark.parametrize(
    "asked",
    [
        {"securitySettings": {"encryptionSettings": {"state": "Enabled"}}},
        {"featureSettings": {"crossRegionRestoreSettings": {"state": "Enabled"}}},
        {"securitySettings": {"immutabilitySettings": {"state": "Maybe"}}},
        {
            "securitySettings": {
                "softDeleteSettings": {"state": "On", "retentionDurationInDays": True}
            }
        },
        {"storageSettings": ["x"]},
    ],
)
def test_what_is_not_offered_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        settings(**asked)


def test_a_change_of_one_setting_leaves_its_neighbours() -> None:
    before = settings(
        securitySettings={
            "softDeleteSettings": {"state": "On", "retentionDurationInDays": 30},
            "immutabilitySettings": {"state": "Unlocked"},
        }
    )
    after = merge(before, settings(securitySettings={"immutabilitySettings": {"state": "Locked"}}))
    assert after["securitySettings"] == {
        "softDeleteSettings": {"state": "On", "retentionDurationInDays": 30.0},
        "immutabilitySettings": {"state": "Locked"},
    }


@pytest.mark.parametrize(
    ("name", "last", "less"),
    [("immutabilitySettings", "Locked", "Disabled"), ("softDeleteSettings", "AlwaysOn", "Off")],
)
def test_what_is_locked_stays_locked(name: str, last: str, less: str) -> None:
    before = settings(securitySettings={name: {"state": last}})
    assert merge(before, {}) == before
    with pytest.raises(Locked):
        merge(before, settings(securitySettings={name: {"state": less}}))
