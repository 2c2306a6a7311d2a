"""Multi-user authorization with Azure's own client."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.dataprotection.models import (
    PatchResourceGuardInput,
    ResourceGuard,
    ResourceGuardProxyBase,
    ResourceGuardProxyBaseResource,
    ResourceGuardResource,
    UnlockDeleteRequest,
)
from whenever import Instant, TimeDelta

from arm_story import GROUP_ID, INSTANCE_ID, Story
from arm_world import GROUP, SUBSCRIPTION, VERSION, ArmWorld, arm_world, vault_id
from strongroom.catalog.tables.keeping_tables import approvals
from strongroom.model.identities.access import BACKUP_CONTRIBUTOR, MUA_OPERATOR, OWNER
from strongroom.model.resources.guard import OPERATIONS, PROXY

GUARD_ID = f"{GROUP_ID}/providers/Microsoft.DataProtection/resourceGuards/g"
DELETES = f"{GUARD_ID}/deleteBackupInstanceRequests/default"


@pytest.fixture
def world() -> Iterator[ArmWorld]:
    with arm_world() as found:
        yield found


class Guarded:
    """Vault `v1` of the story stands under guard `g`, at which `second` may approve."""

    def __init__(self, world: ArmWorld, story: Story) -> None:
        self.world, self.story = world, story
        self.sdk = world.backup()
        made = self.sdk.resource_guards.put(
            GROUP, "g", ResourceGuardResource(location="local", properties=ResourceGuard())
        )
        assert made.id == GUARD_ID
        _, app, secret = world.principal("second", [(MUA_OPERATOR.id, GUARD_ID)])
        self.second = world.token(app, secret)
        self.sdk.dpp_resource_guard_proxy.create_or_update(GROUP, "v1", PROXY, self.proxy())

    @staticmethod
    def proxy(guard: str = GUARD_ID) -> ResourceGuardProxyBaseResource:
        properties = ResourceGuardProxyBase(resource_guard_resource_id=guard)
        return ResourceGuardProxyBaseResource(properties=properties)


@pytest.fixture
def guarded(world: ArmWorld) -> Iterator[Guarded]:
    with world.http() as http:
        yield Guarded(world, Story(world, http))


def refused(code: str = "UserErrorMultiUserAuthorizationRequired") -> Any:
    return pytest.raises(HttpResponseError, match=code)


def test_a_guard_lives_as_azures_client_has_it(world: ArmWorld) -> None:
    guards = world.backup().resource_guards
    world.resources().resource_groups.create_or_update(GROUP, {"location": "local"})
    excluded = "Microsoft.DataProtection/backupVaults/backupInstances/delete"
    wish = ResourceGuard(vault_critical_operation_exclusion_list=[excluded])
    guards.put(GROUP, "g", ResourceGuardResource(location="local", properties=wish))
    found = guards.get(GROUP, "g")
    assert found.properties is not None
    assert found.properties.vault_critical_operation_exclusion_list == [excluded]
    names = [o.vault_critical_operation for o in found.properties.resource_guard_operations or []]
    assert sorted([*names, excluded]) == sorted(o.name for o in OPERATIONS)
    guards.patch(GROUP, "g", PatchResourceGuardInput(tags={"team": "security"}))
    assert [g.tags for g in guards.get_resources_in_resource_group(GROUP)] == [
        {"team": "security"}
    ]
    assert [g.id for g in guards.get_resources_in_subscription()] == [GUARD_ID]
    one = guards.get_default_delete_protected_item_requests_object(GROUP, "g", "default")
    assert one.id == f"{GUARD_ID}/deleteProtectedItemRequests/default"
    (same,) = guards.get_delete_protected_item_requests_objects(GROUP, "g")
    assert same.id == one.id
    guards.delete(GROUP, "g")
    with pytest.raises(ResourceNotFoundError):
        guards.get(GROUP, "g")


@pytest.mark.parametrize(
    "name",
    [
        "Microsoft.DataProtection/backupVaults/backupResourceGuardProxies/delete",
        "Microsoft.DataProtection/backupVaults/write#reduceSoftDeleteSecurity",
        "Microsoft.Compute/virtualMachines/delete",
    ],
)
def test_what_is_always_protected_cannot_be_excluded(world: ArmWorld, name: str) -> None:
    world.resources().resource_groups.create_or_update(GROUP, {"location": "local"})
    wish = ResourceGuard(vault_critical_operation_exclusion_list=[name])
    with refused("BMSUserErrorInvalidCriticalOperationExclusionList"):
        world.backup().resource_guards.put(
            GROUP, "g", ResourceGuardResource(location="local", properties=wish)
        )


def test_a_vault_under_a_guard_says_so_and_how_to_ask(guarded: Guarded) -> None:
    vault = guarded.sdk.backup_vaults.get(GROUP, "v1")
    assert vault.properties.is_vault_protected_by_resource_guard is True
    (proxy,) = guarded.sdk.dpp_resource_guard_proxy.list(GROUP, "v1")
    assert proxy.properties is not None
    assert proxy.properties.resource_guard_resource_id == GUARD_ID
    assert guarded.sdk.dpp_resource_guard_proxy.get(GROUP, "V1", PROXY).id == proxy.id
    assert str(proxy.id).startswith(f"{vault_id()}/")
    asked = [d.default_resource_request for d in proxy.properties.resource_guard_operation_details]
    assert DELETES in asked
    with refused("Conflict"):
        guarded.sdk.resource_guards.delete(GROUP, "g")


def test_a_deletion_is_unlocked_by_a_second_principals_token_and_once(guarded: Guarded) -> None:
    asked = UnlockDeleteRequest(
        resource_guard_operation_requests=[DELETES], resource_to_be_deleted=INSTANCE_ID
    )
    proxies = guarded.sdk.dpp_resource_guard_proxy
    with refused():
        guarded.sdk.backup_instances.begin_delete(GROUP, "v1", "pg1-inst")
    with refused():
        proxies.unlock_delete(GROUP, "v1", PROXY, asked)
    own = f"Bearer {guarded.world.token()}"
    with refused():
        proxies.unlock_delete(GROUP, "v1", PROXY, asked, x_ms_authorization_auxiliary=own)
    second = f"Bearer {guarded.second}"
    answer = proxies.unlock_delete(GROUP, "v1", PROXY, asked, x_ms_authorization_auxiliary=second)
    assert str(answer.unlock_delete_expiry_time) > guarded.world.clock.now().format_iso()[:16]
    guarded.sdk.backup_instances.begin_delete(GROUP, "v1", "pg1-inst").result()
    (deleted,) = guarded.sdk.deleted_backup_instances.list(GROUP, "v1")
    guarded.sdk.deleted_backup_instances.begin_undelete(GROUP, "v1", deleted.name).result()
    with refused():
        guarded.sdk.backup_instances.begin_delete(GROUP, "v1", "pg1-inst")


def test_nobody_stands_alone_under_a_guard(world: ArmWorld) -> None:
    with world.http() as http:
        Story(world, http)
    sdk = world.backup()
    sdk.resource_guards.put(GROUP, "g", ResourceGuardResource(location="local"))
    with refused("Precondition"):
        sdk.dpp_resource_guard_proxy.create_or_update(GROUP, "v1", PROXY, Guarded.proxy())


__all__ = ["BACKUP_CONTRIBUTOR", "OWNER", "SUBSCRIPTION"]


def delayed(world: ArmWorld, http: Any, hours: Any) -> Any:
    body = {"location": "local", "properties": {"strongroom": {"approvalDelayHours": hours}}}
    return http.put(GUARD_ID, params=VERSION, json=body)


@pytest.mark.parametrize("hours", [-1, 73, 1.5, "24", True])
def test_a_delay_that_makes_no_sense_is_refused(guarded: Guarded, hours: Any) -> None:
    answer = delayed(guarded.world, guarded.story.http, hours)
    assert answer.status_code == 400
    assert "approvalDelayHours" in answer.text


def test_an_approval_is_good_when_its_delay_is_over_and_can_be_withdrawn_before(
    guarded: Guarded,
) -> None:
    world, http = guarded.world, guarded.story.http
    told = delayed(world, http, 48).json()
    assert told["properties"]["strongroom"] == {"approvalDelayHours": 48}
    shorter = delayed(world, http, 1)  # approved like everything that protects less
    assert shorter.status_code == 403
    url = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.DataProtection/approvals/"
    url += shorter.json()["strongroom"]["facts"]["request"]
    second = {"Authorization": f"Bearer {guarded.second}"}
    granted = http.post(f"{url}/grant", params=VERSION, json={"hours": 1}, headers=second).json()
    decided, good, until = (
        Instant.parse_iso(granted[name]) for name in ("decidedAt", "goodFrom", "expiresAt")
    )
    assert (good - decided, until - good) == (TimeDelta(hours=48), TimeDelta(hours=1))
    refused = delayed(world, http, 1)
    assert refused.json()["strongroom"]["facts"]["request"] == granted["id"]
    assert "approve withdraw" in refused.json()["strongroom"]["hint"]
    with world.database.writing() as connection:  # 48 hours go by
        connection.execute(approvals.update().values(good_from=good.subtract(hours=48)))
    assert delayed(world, http, 1).status_code == 200
