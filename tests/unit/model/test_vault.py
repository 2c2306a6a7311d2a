"""A vault as asked: what we cannot keep is not promised, what is locked stays locked."""

from typing import Any

import pytest

from strongroom.model.errors import Invalid, Locked
from strongroom.model.resources.vault import crosses_regions, merge, read_vault


def settings(**asked: Any) -> dict[str, Any]:
    return read_vault({"properties": asked}).settings


def test_keys_come_in_any_case_and_go_out_canonical() -> None:
    wish = read_vault(
        {
            "IDENTITY": {"Type": "systemassigned"},
            "Properties": {
                "STORAGESETTINGS": [{"DatastoreType": "vaultstore", "Type": "zoneredundant"}],
                "securitysettings": {"softdeletesettings": {"state": "on"}},
                "costmanagementsettings": {"granularitylevel": "protecteditemlevel"},
            },
        }
    )
    assert wish.settings == {
        "identityType": "SystemAssigned",
        "storageSettings": [{"datastoreType": "VaultStore", "type": "ZoneRedundant"}],
        "securitySettings": {
            "softDeleteSettings": {"state": "On", "retentionDurationInDays": 14.0}
        },
        "costManagementSettings": {"granularityLevel": "ProtectedItemLevel"},
    }


def test_read_only_fields_that_come_back_are_ignored() -> None:
    assert settings(provisioningState="Failed", secureScore="Maximum", replicatedRegions=[]) == {}


@pytest.mark.parametrize(
    "asked",
    [
        {"securitySettings": {"encryptionSettings": {"state": "Enabled"}}},
        {"featureSettings": {"crossRegionRestoreSettings": {"state": "PermanentlyDisabled"}}},
        {"featureSettings": {"crossSubscriptionRestoreSettings": {"state": "Perhaps"}}},
        {"securitySettings": {"immutabilitySettings": {"state": "Maybe"}}},
        {
            "securitySettings": {
                "softDeleteSettings": {"state": "On", "retentionDurationInDays": True}
            }
        },
        {"storageSettings": ["x"]},
        {"costManagementSettings": {"granularityLevel": "Hourly"}},
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


REGION, SUBSCRIPTION = "crossRegionRestoreSettings", "crossSubscriptionRestoreSettings"


def feature(name: str, state: str) -> dict[str, Any]:
    return {"featureSettings": {name: {"state": state}}}


def stored(kind: str) -> dict[str, Any]:
    return {"storageSettings": [{"datastoreType": "VaultStore", "type": kind}]}


def test_regions_are_crossed_from_geo_redundant_vaults_alone() -> None:
    asked = settings(**feature(REGION, "enabled"), **stored("GeoRedundant"))
    assert crosses_regions(merge({}, asked))
    for kind in ("LocallyRedundant", "ZoneRedundant"):
        with pytest.raises(Invalid, match="GeoRedundant"):
            merge({}, settings(**feature(REGION, "Enabled"), **stored(kind)))
        with pytest.raises(Invalid, match="GeoRedundant"):
            merge(asked, settings(**stored(kind)))
    with pytest.raises(Invalid, match="GeoRedundant"):
        merge({}, settings(**feature(REGION, "Enabled")))
    assert not crosses_regions(merge({}, settings(**feature(REGION, "Disabled"))))


@pytest.mark.parametrize(
    ("name", "last"), [(REGION, "Enabled"), (SUBSCRIPTION, "PermanentlyDisabled")]
)
def test_there_is_no_way_back_from(name: str, last: str) -> None:
    before = merge({}, settings(**feature(name, last), **stored("GeoRedundant")))
    assert merge(before, settings(**feature(name, last))) == before
    other = SUBSCRIPTION if name == REGION else REGION
    assert merge(before, settings(**feature(other, "Disabled")))["featureSettings"] == {
        name: {"state": last},
        other: {"state": "Disabled"},
    }
    with pytest.raises(Locked, match="taken back"):
        merge(before, settings(**feature(name, "Disabled")))


def test_cross_subscription_restore_comes_and_goes_until_it_is_off_for_good() -> None:
    found: dict[str, Any] = {}
    for state in ("Enabled", "Disabled", "Enabled", "PermanentlyDisabled"):
        found = merge(found, settings(**feature(SUBSCRIPTION, state)))
        assert found["featureSettings"][SUBSCRIPTION]["state"] == state
