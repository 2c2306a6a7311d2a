"""What one administrator, an owner of everything, can do to a vault under a guard: S2.

The table is in docs/security.md; `UPDATE_GOLDEN=1` writes it anew.
"""

import base64
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import httpx
import pytest
import sqlalchemy as sa

from arm_story import (
    GROUP_ID,
    GUIDS,
    INSTANCE_ID,
    Story,
    add_point,
    assignment_body,
    assignment_id,
    instance_body,
)
from arm_world import SUBSCRIPTION, VERSION, ArmWorld, arm_world, vault_id
from security_page import check_table
from strongroom.catalog.identities import role_assignments
from strongroom.catalog.points import expiry_holds
from strongroom.catalog.points import recovery_points as recovery_point_rows
from strongroom.catalog.protection import deletions, protection
from strongroom.catalog.protection import instances as instance_rows
from strongroom.catalog.resources import guards
from strongroom.catalog.tables.keeping_tables import approvals, resource_guards
from strongroom.catalog.tables.tables import audit, recovery_points, vaults
from strongroom.control.basis.guarded import NEEDED
from strongroom.model.identities.access import MUA_OPERATOR, OWNER
from strongroom.model.protection.policy_templates import azure_default_policy
from strongroom.model.resources import guard
from strongroom.model.resources.guard import Guarded

pytestmark = pytest.mark.S2
GUARDS = f"{GROUP_ID}/providers/Microsoft.DataProtection/resourceGuards"
PROXY = f"{vault_id()}/backupResourceGuardProxies/{guard.PROXY}"
POINT = f"{INSTANCE_ID}/recoveryPoints/{1:032x}"
HOLD = f"{INSTANCE_ID}/legalHolds/case"
APPROVALS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.DataProtection/approvals"
ANOTHER = assignment_id(f"{GUARDS}/g", GUIDS[7])
TRIES = {
    "alone": "alone",
    "own": "with their own token beside it",
    "owner": "with another owner's token",
    "self": "having granted it themselves",
    "other": "something else was approved",
    "another": "approved for another administrator",
    "late": "approved, and too late",
    "lost": "approved by somebody who no longer may",
    "withdrawn": "approved, and withdrawn by another approver",
    "early": "approved under a delay, and before it is over",
    "early_second": "under a delay, with an approver's token",
    "approved": "approved",
    "again": "the same approval again",
    "second": "with an approver's token",
}
ALLOWED = {"approved", "second"}
EARLY = {"early", "early_second"}
URGENT = {"restore what was backed up"}  # a delay would only keep it from those who need it
Body = dict[str, Any] | None


def nothing() -> None:
    """Needs no preparation."""


@dataclass
class Probe:
    """A protected call; `prepare` makes it one that would take something away, again."""

    what: str
    operation: Guarded
    method: str
    url: str
    body: Body = None
    prepare: Callable[[], None] = nothing


class Vault:
    """`v1` under guard `g`; two owners, and two who may approve."""

    def __init__(self, world: ArmWorld, http: httpx.Client) -> None:
        self.world, self.http = world, http
        self.story = Story(world, http)
        add_point(world, 1, "Full", 1, {})
        for name in ("g", "h"):
            self.story.put(f"{GUARDS}/{name}", {"location": "local"})
        scope = [(MUA_OPERATOR.id, GROUP_ID)]
        self.approver, *signs_in = world.principal("approver", scope)
        self.standby_token = world.token(*world.principal("standby", scope)[1:])
        self.approver_token = world.token(*signs_in)
        _, *signs_in = world.principal("owner-2", [(OWNER.id, "/")])
        self.owner_token = world.token(*signs_in)
        self.own_token = world.token()
        shorter = {"properties": policy("P1D")}
        self.story.put(f"{vault_id()}/backupPolicies/spare", shorter)
        self.under_guard()

    def under_guard(self) -> None:
        """Under `g`, whatever it was."""
        with self.world.database.writing() as connection:
            guards.take_from(connection, self.id_of_vault(connection))
        self.story.put(PROXY, {"properties": {"resourceGuardResourceId": f"{GUARDS}/g"}})

    @staticmethod
    def id_of_vault(connection: sa.Connection) -> str:
        found: str = connection.execute(sa.select(vaults.c.id)).scalar_one()
        return found

    def change(self, url: str, **properties: Any) -> None:
        answer = self.http.patch(url, params=VERSION, json={"properties": properties})
        assert answer.status_code == 200, answer.text

    def resumed(self) -> None:
        """Protected, and free to be deleted, whatever it was."""
        self.ends_in(24 * 365 * 20)
        names = [f"{vault_id()}/deletedBackupInstances/pg1-inst/undelete"]
        names += [f"{INSTANCE_ID}/{act}" for act in ("resumeProtection", "resumeBackups")]
        for url in names:
            answer = self.http.post(url, params=VERSION, json={})
            assert answer.status_code in {202, 400, 404}, answer.text

    def undeleted(self) -> None:
        self.resumed()
        url = f"{INSTANCE_ID}/deletedRecoveryPoints/{1:032x}/undelete"
        answer = self.http.post(url, params=VERSION, json={})
        assert answer.status_code in {202, 404}, answer.text

    def point_deleted(self) -> None:
        self.undeleted()
        with self.world.database.writing() as connection:
            self._delete(connection, "point", f"{1:032x}")
            state = recovery_point_rows.SOFT_DELETED
            recovery_point_rows.set_state(connection, f"{1:032x}", state)

    def deleted(self) -> None:
        self.undeleted()
        with self.world.database.writing() as connection:
            (instance,) = instance_rows.list_ids(connection)
            self._delete(connection, "instance", instance)
            protection.set_state(connection, instance, "SoftDeleted")

    def _delete(
        self, connection: sa.Connection, kind: Literal["point", "instance"], thing: str
    ) -> None:
        now = self.world.clock.now()
        what = kind, thing, self.id_of_vault(connection)
        deletions.add(connection, what, now, now.add(hours=24 * 30), ("me", "an operation"))

    def held(self) -> None:
        self.undeleted()
        for _ in range(400):
            answer = self.http.put(HOLD, params=VERSION, json={"properties": {"reason": "x"}})
            if answer.status_code != 409:
                return self._follow(answer)
            self.world.clock.sleep(0.05)
        raise AssertionError(answer.text)

    def _follow(self, answer: httpx.Response) -> None:
        for _ in range(400):
            told = self.http.get(answer.headers["Azure-AsyncOperation"]).json()
            if told["status"] != "Inprogress":
                assert told["status"] == "Succeeded", told
                return
            self.world.clock.sleep(0.05)
        raise AssertionError(told)

    def kept_for_long(self) -> None:
        """Longer than any policy says."""
        self.ends_in(24 * 365 * 20)

    def ends_in(self, hours: float) -> None:
        with self.world.database.writing() as connection:
            ends = self.world.clock.now().add(hours=hours)
            connection.execute(recovery_points.update().values(expires_at=ends))

    def stopped(self) -> None:
        """For long: its point is past its time."""
        self.ends_in(-1)
        with self.world.database.writing() as connection:
            (instance,) = instance_rows.list_ids(connection)
            protection.set_state(connection, instance, "ProtectionStopped")

    def expiry_held(self) -> None:
        with self.world.database.writing() as connection:
            (instance,) = instance_rows.list_ids(connection)
            what = ("anomaly", "it is far from those before it")
            now = self.world.clock.now()
            expiry_holds.add(connection, instance, f"{1:032x}", what, now)

    def forget_approver(self) -> None:
        answer = self.http.delete(ANOTHER, params=VERSION)
        assert answer.status_code in {200, 204}, answer.text

    def send(self, probe: Probe, *, by: str = "", beside: str = "") -> httpx.Response:
        """`by` another administrator's token; `beside` is the auxiliary one."""
        place = guard.request_id(f"{GUARDS}/g", probe.operation.kind)
        body = probe.body
        if beside and probe.method != "DELETE":
            body = {**(body or {}), "resourceGuardOperationRequests": [place]}
        headers = {"x-ms-authorization-auxiliary": f"Bearer {beside}"} if beside else {}
        if by:
            headers["Authorization"] = f"Bearer {by}"
        return self.http.request(
            probe.method, probe.url, params=VERSION, json=body, headers=headers
        )

    def request(self, probe: Probe, by: str = "") -> str:
        """Ask, be refused: the request that waits from then on."""
        found: str = self.send(probe, by=by).json()["strongroom"]["facts"]["request"]
        return found

    def decide(self, request: str, token: str, act: str = "grant") -> int:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{APPROVALS}/{request}/{act}"
        return self.http.post(url, params=VERSION, json={}, headers=headers).status_code

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Approvals of this time are good a day later."""
        for hours in (24, 0):
            with self.world.database.writing() as connection:
                connection.execute(resource_guards.update().values(delay_hours=hours))
            if hours:
                yield

    def approved(self, probe: Probe, by: str = "") -> str:
        request = self.request(probe, by)
        assert self.decide(request, self.approver_token) == 200
        return request


def policy(kept: str) -> dict[str, Any]:
    found = copy.deepcopy(azure_default_policy())
    for rule in found["policyRules"]:
        if rule["objectType"] == "AzureRetentionRule":
            rule["lifecycles"][0]["deleteAfter"]["duration"] = kept
    return found


def security(**settings: Any) -> dict[str, Any]:
    return {"securitySettings": settings}


def probes(vault: Vault) -> list[Probe]:
    at, put = vault_id(), vault.story.put
    pgflex, soft = f"{at}/backupPolicies/pgflex", {"state": "On", "retentionDurationInDays": 30}
    off = {"state": "Off", "retentionDurationInDays": 30}
    days = {"state": "On", "retentionDurationInDays": 14}
    is_soft = partial(vault.change, at, **security(softDeleteSettings=soft))
    unlocked = security(immutabilitySettings={"state": "Unlocked"})
    disabled = security(immutabilitySettings={"state": "Disabled"})
    key = {"publicKey": base64.b64encode(bytes(1216)).decode()}
    other = {"resourceGuardResourceId": f"{GUARDS}/h"}
    excluded = {"vaultCriticalOperationExclusionList": [guard.DELETE_INSTANCE.name]}
    bare = {"location": "local"}
    target = {"objectType": "RestoreTargetInfo", "strongroom": {"targetDirectory": "/srv/new"}}
    restore = {"objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
               "recoveryPointId": f"{1:032x}", "restoreTargetInfo": target}  # fmt: skip
    long, short = {"properties": policy("P10Y")}, {"properties": policy("P9Y")}
    return [
        Probe("shorten a policy", guard.LESS_RETENTION, "PUT", pgflex, short,
              lambda: put(pgflex, long) and None),
        Probe("give an instance a policy that keeps less", guard.CHANGE_POLICY, "PUT",
              INSTANCE_ID, {"properties": instance_body(policy="spare")},
              lambda: put(INSTANCE_ID, {"properties": instance_body()}) and None),
        Probe("apply a policy that keeps less to points that exist", guard.LESS_RETENTION,
              "POST", f"{pgflex}/applyToPoints", None, vault.kept_for_long),
        Probe("turn soft delete off", guard.WEAKEN_SOFT_DELETE, "PATCH", at,
              {"properties": security(softDeleteSettings=off)}, is_soft),
        Probe("shorten soft delete", guard.WEAKEN_SOFT_DELETE, "PATCH", at,
              {"properties": security(softDeleteSettings=days)}, is_soft),
        Probe("stop protection", guard.STOP_PROTECTION, "POST",
              f"{INSTANCE_ID}/stopProtection", None, vault.resumed),
        Probe("suspend backups", guard.SUSPEND_BACKUPS, "POST",
              f"{INSTANCE_ID}/suspendBackups", None, vault.resumed),
        Probe("resume, so that points past their time go", guard.RESUME_PROTECTION, "POST",
              f"{INSTANCE_ID}/resumeProtection", None, vault.stopped),
        Probe("delete an instance with its data", guard.DELETE_INSTANCE, "DELETE",
              INSTANCE_ID, None, vault.resumed),
        Probe("delete a recovery point", guard.DELETE_POINT, "DELETE", POINT, None,
              vault.undeleted),
        Probe("purge a deleted recovery point", guard.PURGE_POINT, "POST",
              f"{INSTANCE_ID}/deletedRecoveryPoints/{1:032x}/purge", None, vault.point_deleted),
        Probe("purge a deleted instance", guard.PURGE_INSTANCE, "POST",
              f"{vault_id()}/deletedBackupInstances/pg1-inst/purge", None, vault.deleted),
        Probe("release a legal hold", guard.RELEASE_HOLD, "DELETE", HOLD, None, vault.held),
        Probe("restore what was backed up", guard.RESTORE, "POST", f"{INSTANCE_ID}/restore",
              restore),
        Probe("release the expiry that an anomaly holds", guard.RELEASE_EXPIRY, "POST",
              f"{INSTANCE_ID}/releaseExpiry", None, vault.expiry_held),
        Probe("seal the keys under another key-encryption key", guard.MODIFY_ENCRYPTION, "POST",
              f"{at}/rotateKeyEncryptionKey"),
        Probe("have all keys sealed to another recovery key", guard.EXPORT_KEYS, "POST",
              f"{at}/replaceRecoveryKey", key),
        Probe("make somebody an approver", guard.ADD_APPROVER, "PUT", ANOTHER,
              assignment_body(MUA_OPERATOR.id, vault.world.owner_id), vault.forget_approver),
        Probe("have the guard protect less", guard.WEAKEN_GUARD, "PUT", f"{GUARDS}/g",
              {**bare, "properties": excluded}, lambda: put(f"{GUARDS}/g", bare) and None),
        Probe("turn immutability off", guard.WEAKEN_IMMUTABILITY, "PATCH", at,
              {"properties": disabled}, partial(vault.change, at, **unlocked)),
        Probe("put the vault under another guard", guard.REMOVE_GUARD, "PUT", PROXY,
              {"properties": other}, vault.under_guard),
        Probe("take the guard from the vault", guard.REMOVE_GUARD, "DELETE", PROXY, None,
              vault.under_guard),
    ]  # fmt: skip


class Tries:
    """Every way of one administrator to get a protected call through."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def of(self, probe: Probe, other: Probe) -> dict[str, str]:
        """What each try answers."""
        found = {}
        probe.prepare()
        for name in TRIES:
            if name != "again":  # that one is about the approval before it
                self._change_grants(expires_at=self.vault.world.clock.now())
            if name == "other":
                self.vault.approved(other)
            aside = getattr(self, f"_{name}", None)
            answer = aside(probe) if aside else self.vault.send(probe)
            found[name] = verdict(answer)
            if found[name] == "done":
                probe.prepare()
        return found

    def _own(self, probe: Probe) -> httpx.Response:
        return self.vault.send(probe, beside=self.vault.own_token)

    def _owner(self, probe: Probe) -> httpx.Response:
        return self.vault.send(probe, beside=self.vault.owner_token)

    def _self(self, probe: Probe) -> httpx.Response:
        request = self.vault.request(probe)
        assert self.vault.decide(request, self.vault.own_token) == 403
        assert self.vault.decide(request, self.vault.owner_token) == 403
        return self.vault.send(probe)

    def _another(self, probe: Probe) -> httpx.Response:
        self.vault.approved(probe, by=self.vault.owner_token)
        return self.vault.send(probe)

    def _late(self, probe: Probe) -> httpx.Response:
        self.vault.approved(probe)
        self._change_grants(expires_at=self.vault.world.clock.now())
        return self.vault.send(probe)

    def _lost(self, probe: Probe) -> httpx.Response:
        self.vault.approved(probe)
        database = self.vault.world.database
        with database.writing() as connection:
            (row,) = role_assignments.list_of_principal(connection, self.vault.approver)
            role_assignments.remove(connection, row["id"])
        answer = self.vault.send(probe)
        with database.writing() as connection:
            role_assignments.add(connection, dict(row))
        return answer

    def _withdrawn(self, probe: Probe) -> httpx.Response:
        request = self.vault.approved(probe)
        assert self.vault.decide(request, self.vault.owner_token, "withdraw") == 403
        assert self.vault.decide(request, self.vault.standby_token, "withdraw") == 200
        assert self.vault.decide(request, self.vault.approver_token) == 409
        return self.vault.send(probe)

    def _early(self, probe: Probe) -> httpx.Response:
        with self.vault.delayed():
            self.vault.approved(probe)
        return self.vault.send(probe)

    def _early_second(self, probe: Probe) -> httpx.Response:
        with self.vault.delayed():
            answer = self.vault.send(probe, beside=self.vault.approver_token)
        if answer.status_code == 403:  # so it was granted, and is not good yet
            answer = self.vault.send(probe)
        return answer

    def _approved(self, probe: Probe) -> httpx.Response:
        self.vault.approved(probe)
        return self.vault.send(probe)

    def _second(self, probe: Probe) -> httpx.Response:
        return self.vault.send(probe, beside=self.vault.approver_token)

    def _change_grants(self, **values: Any) -> None:
        with self.vault.world.database.writing() as connection:
            granted = approvals.c.state == "Granted"
            connection.execute(approvals.update().where(granted).values(**values))


def verdict(answer: httpx.Response) -> str:
    if answer.status_code in {200, 201, 202}:
        return "done"
    assert answer.status_code == 403, answer.text
    assert answer.headers["x-ms-error-code"] == NEEDED, answer.text
    return "refused"


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with arm_world() as world, world.http() as http:
        yield Vault(world, http)


@pytest.fixture(scope="module")
def table(vault: Vault) -> dict[str, dict[str, str]]:
    every = probes(vault)
    first, tries = every[0], Tries(vault)
    other = next(each for each in every if each.operation is guard.WEAKEN_SOFT_DELETE)
    return {each.what: tries.of(each, other if each is first else first) for each in every}


def test_one_administrator_alone_takes_nothing_away(table: dict[str, dict[str, str]]):
    wrong = {
        (what, name): said
        for what, tries in table.items()
        for name, said in tries.items()
        if (said == "done") != (name in ALLOWED or (what in URGENT and name in EARLY))
    }
    assert wrong == {}


def test_the_table_of_the_security_page_is_what_the_calls_answer(
    table: dict[str, dict[str, str]],
):
    rows = {what: list(said.values()) for what, said in table.items()}
    check_table("one administrator", list(TRIES.values()), rows)


def test_every_protected_operation_is_tried(vault: Vault):
    assert {probe.operation for probe in probes(vault)} == set(guard.OPERATIONS)


def test_every_refusal_and_every_approval_is_in_the_audit(
    vault: Vault, table: dict[str, dict[str, str]]
):
    with vault.world.database.reading() as connection:
        actions = connection.execute(sa.select(audit.c.action, audit.c.detail)).all()
    refused = sum(said == "refused" for tries in table.values() for said in tries.values())
    done = sum(said == "done" for tries in table.values() for said in tries.values())
    found = [action for action, _ in actions]
    assert found.count("approval/use") == done
    assert found.count("approval/refuse") > refused
    assert found.count("approval/grant") >= 4 * len(table)
    used = [told for action, told in actions if action == "approval/use"]
    assert {told["approvedBy"] for told in used} == {vault.approver}
