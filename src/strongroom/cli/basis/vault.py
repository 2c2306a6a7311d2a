"""The one vault that the command line works with, in ARM's terms."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from strongroom.cli.basis import connection, rest
from strongroom.cli.basis.connection import Connection
from strongroom.cli.basis.means import Common, Means
from strongroom.cli.basis.rest import Rest
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Conflict, NotFound, StoreError
from strongroom.model.identities import access
from strongroom.model.ids import uuid4
from strongroom.model.protection.backup_settings import BackupSettings
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy

TEN_YEARS = "ten-years"
TEN_YEARS_LOGICAL = "ten-years-logical"
SERVER_TYPE = "Microsoft.DBforPostgreSQL/flexibleServers"


class Vault:
    """Paths and calls; every name is an ARM name. Bodies are ARM JSON."""

    def __init__(self, found: Connection, client: Rest, means: Means) -> None:
        self.connection = found
        self.rest = client
        self.clock = means.clock
        self._chance = means.chance
        self._ref = VaultRef(resource_group=found.resource_group, name=found.vault)

    @property
    def group(self) -> str:
        """The resource group's id."""
        return arm.group_id_of(self.connection.subscription, self.connection.resource_group)

    @property
    def home(self) -> str:
        """The vault's id."""
        return arm.vault_id_of(self.connection.subscription, self._ref)

    def server(self, name: str) -> str:
        """A server's id."""
        place = self.connection
        return arm.server_id_of(place.subscription, place.resource_group, name)

    def instance(self, name: str) -> str:
        """The id of the backup instance that protects the server of this name."""
        return arm.instance_id_of(self.connection.subscription, self._ref, name)

    def policy(self, name: str) -> str:
        """A policy's id."""
        return arm.policy_id_of(self.connection.subscription, self._ref, name)

    def job(self, name: str) -> str:
        """A job's id; takes an id as well."""
        return arm.job_id_of(self.connection.subscription, self._ref, name.rpartition("/")[2])

    def servers(self) -> list[dict[str, Any]]:
        """Every server; none when there is no resource group yet."""
        return self._all(f"{self.group}/providers/{SERVER_TYPE}")

    def instances(self) -> list[dict[str, Any]]:
        """Every backup instance; none when there is no vault yet."""
        return self._all(f"{self.home}/backupInstances")

    def names(self, name: str) -> list[str]:
        """One protected server, or, where none is named, all of them."""
        return [name] if name else [str(each["name"]) for each in self.instances()]

    def jobs(self, name: str = "", *, failed: bool = False, most: int = 0) -> list[dict[str, Any]]:
        """Newest first: of a protected server alone, those that failed alone, so many at most."""
        wanted = [f"backupInstance eq '{name}'"] if name else []
        wanted += ["status eq 'Failed'"] if failed else []
        place = f"{self.home}/backupJobs?api-version={self.rest.version}"
        named = f"&$filter={quote(' and '.join(wanted))}" if wanted else ""
        return self._all(f"{place}{named}", most)

    def policies(self) -> list[dict[str, Any]]:
        """Every policy."""
        return self._all(f"{self.home}/backupPolicies")

    def points(self, name: str) -> list[dict[str, Any]]:
        """The recovery points of a protected server, newest first. Raises NotFound."""
        self.need_instance(name)
        return self.rest.list(f"{self.instance(name)}/recoveryPoints")

    def deleted_points(self, name: str) -> list[dict[str, Any]]:
        """Those of a protected server that were deleted and can be had back. Raises NotFound."""
        self.need_instance(name)
        return self.rest.list(f"{self.instance(name)}/deletedRecoveryPoints")

    def findings(self, name: str) -> list[dict[str, Any]]:
        """What is wrong with what lies in storage of a protected server."""
        return self._all(f"{self.instance(name)}/storageFindings")

    def holds(self, name: str) -> list[dict[str, Any]]:
        """The legal holds on a protected server and its points."""
        return self._all(f"{self.instance(name)}/legalHolds")

    def deleted_instances(self) -> list[dict[str, Any]]:
        """Every backup instance that was deleted and can be had back."""
        return self._all(f"{self.home}/deletedBackupInstances")

    def second_copy(self) -> dict[str, Any]:
        """How far behind the second copy is; empty where there is none, or no vault yet."""
        try:
            return self.rest.get(f"{self.home}/secondCopy")
        except NotFound:
            return {}
        except StoreError as error:
            return {"error": error.message}

    def need_instance(self, name: str) -> dict[str, Any]:
        """A backup instance; NotFound that names those there are."""
        found = self.rest.find(self.instance(name))
        if found is None:
            deleted = {str(each["name"]).lower() for each in self.deleted_instances()}
            if name.lower() in deleted:
                raise NotFound(
                    f"the protection of {name} is deleted",
                    hint=f"Have it back: strongroom undelete {name}",
                )
            names = ", ".join(sorted(each["name"] for each in self.instances()))
            raise NotFound(
                f"no protected server is named {name!r}",
                hint=f"There is: {names}."
                if names
                else "Protect one: strongroom protect CONNINFO",
            )
        return found

    def ensure_vault(self) -> None:
        """Resource group and vault are there."""
        location = self.connection.location
        self.rest.put(self.group, {"location": location})
        if self.rest.find(self.home) is None:
            settings = [{"datastoreType": "VaultStore", "type": "LocallyRedundant"}]
            body = {"location": location, "identity": {"type": "SystemAssigned"}}
            self.rest.put(self.home, {**body, "properties": {"storageSettings": settings}})

    def ensure(self, policy: str) -> None:
        """Resource group, vault and policy are there; `ten-years` is made when it is missing."""
        self.ensure_vault()
        if self.rest.find(self.policy(policy)) is not None:
            return
        if policy not in {TEN_YEARS, TEN_YEARS_LOGICAL}:
            names = ", ".join(sorted({TEN_YEARS, *(p["name"] for p in self.policies())}))
            raise NotFound(f"there is no policy named {policy!r}", hint=f"There is: {names}.")
        kind = "Logical" if policy == TEN_YEARS_LOGICAL else "Full"
        self.rest.put(self.policy(policy), {"properties": ten_years_policy(kind)})

    def backup_type(self, policy: str) -> str:
        """The most that a policy asks of a server (model/protection/backup_type.py)."""
        return parse_policy(self.rest.get(self.policy(policy))["properties"]).backup_type

    def ensure_group(self) -> None:
        """The resource group alone: what registering a server needs."""
        self.rest.put(self.group, {"location": self.connection.location})

    def grant_roles(self, server: str) -> None:
        """The vault's identity may read the group and back up the server. Safe twice."""
        principal = self.rest.get(self.home)["identity"]["principalId"]
        for scope, role in (
            (self.group, access.READER),
            (self.server(server), access.LONG_TERM_RETENTION),
        ):
            path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
            definition = f"/subscriptions/{self.connection.subscription}/providers"
            definition += f"/Microsoft.Authorization/roleDefinitions/{role.id}"
            asked = {"roleDefinitionId": definition, "principalId": principal}
            asked["principalType"] = "ServicePrincipal"
            try:
                self.rest.put(f"{path}/{uuid4(self._chance)}", {"properties": asked})
            except Conflict:
                continue  # it has the role already

    def source(self, server: str) -> dict[str, Any]:
        """ARM's Datasource of a server."""
        path = self.server(server)
        return {
            "objectType": "Datasource",
            "datasourceType": SERVER_TYPE,
            "resourceID": path,
            "resourceName": server,
            "resourceType": SERVER_TYPE,
            "resourceLocation": self.connection.location,
            "resourceUri": "",
        }

    def protection(self, server: str, policy: str) -> dict[str, Any]:
        """ARM's BackupInstance for a server under a policy."""
        return {
            "objectType": "BackupInstance",
            "friendlyName": server,
            "dataSourceInfo": self.source(server),
            "dataSourceSetInfo": None,
            "datasourceAuthCredentials": None,
            "policyInfo": {"policyId": self.policy(policy), "policyParameters": None},
            "identityDetails": {"useSystemAssignedIdentity": True},
        }

    def set_settings(self, instance: dict[str, Any], settings: BackupSettings) -> dict[str, Any]:
        """The same instance with other settings. Returns what it is now."""
        changed = {**instance["properties"], "strongroom": {"settings": settings.to_dict()}}
        return self.rest.put(instance["id"], {"tags": instance["tags"], "properties": changed})

    def backup_rule(self, instance: dict[str, Any]) -> str:
        """The name of the first backup rule of the policy that protects an instance."""
        policy = self.rest.get(instance["properties"]["policyInfo"]["policyId"])
        for rule in policy["properties"]["policyRules"]:
            if rule["objectType"] == "AzureBackupRule":
                return str(rule["name"])
        raise NotFound(f"policy {policy['name']} has no backup rule")

    def _all(self, path: str, most: int = 0) -> list[dict[str, Any]]:
        try:
            return self.rest.list(path, most)
        except NotFound:
            return []


@contextmanager
def opened(common: Common, means: Means) -> Iterator[Vault]:
    """The vault of the installation that the options name."""
    found = connection.load(common)
    with rest.opened(found, means.clock, means.chance) as client:
        yield Vault(found, client, means)
