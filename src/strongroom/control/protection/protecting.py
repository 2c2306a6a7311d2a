"""Protect a server from nothing: group, vault and policy are made where they are missing.

What the command line does in as many calls of the API, for a page that has one button. Each step
asks for its own right and is audited as what it is.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.resources import told_servers
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.protection import instances, policies
from strongroom.control.resources import servers, vaults
from strongroom.control.resources.subscriptions import get_group, put_group
from strongroom.control.work import rounds
from strongroom.model import arm
from strongroom.model.arm import PolicyRef, ServerRef, VaultRef
from strongroom.model.conditions import Conditions
from strongroom.model.errors import NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.model.work.operation import ServerFacts

FIRST_VAULT = "vault"  # as `strongroom up` names it
TEN_YEARS = "ten-years"
ACTION = instances.WRITE


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that nothing protects. group empty: it is not registered yet.

    agent_id, local: who looks after it, and under which name of its own. facts None: not told yet.
    """

    group: str
    name: str
    agent_id: str
    local: str
    facts: ServerFacts | None

    @property
    def key(self) -> str:
        """Names it among others."""
        return f"{self.agent_id}/{self.local}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A policy of a vault; `made`: it, and the vault where there is none, are made for this."""

    vault: VaultRef
    policy: str
    made: bool

    @property
    def key(self) -> str:
        """Names it among others."""
        return f"{self.vault.resource_group}/{self.vault.name}/{self.policy}"


def candidates(control: Control, caller: Caller) -> list[Candidate]:
    """Every server that agents look after and no instance protects, as far as one may see it."""
    found = [
        Candidate(row["resource_group"], row["name"], row["agent_id"], row["agent_server"], facts)
        for row in rounds.unprotected_servers(control, caller)
        for facts in (servers.facts_of(row),)
    ]
    scope = arm.subscription_id_of(control.installation.subscription_id)
    with control.database.reading() as connection:
        if Rights(connection, caller).may(servers.WRITE, scope):
            found += [_told(row) for row in told_servers.list_all(connection)]
    return found


def _told(row: sa.RowMapping) -> Candidate:
    facts = servers.facts_of(row)
    return Candidate("", row["name"], row["agent_id"], row["name"], facts)


def choices(control: Control, caller: Caller) -> list[Choice]:
    """What it can be put under: `ten-years` of each vault first, there or not."""
    homes = [
        VaultRef(resource_group=row["resource_group"], name=row["name"])
        for row in vaults.list_vaults(control, caller, None)
    ]
    if not homes:
        group = control.installation.resource_group
        return [Choice(VaultRef(resource_group=group, name=FIRST_VAULT), TEN_YEARS, made=True)]
    found = []
    for home in homes:
        names = [row["name"] for row in policies.list_policies(control, caller, home)]
        found.append(Choice(home, TEN_YEARS, made=TEN_YEARS not in names))
        found += [Choice(home, name, made=False) for name in sorted(names) if name != TEN_YEARS]
    return found


def protect(control: Control, caller: Caller, which: Candidate, under: Choice) -> str:
    """Its instance, named as the server, is being set up. Returns that name. Safe twice.

    Raises what is missing: of the server, of the vault's identity, of the caller.
    """
    home = under.vault
    group = which.group or control.installation.resource_group
    if under.made:
        _ensure(control, caller, under)
    name = which.name
    if not which.group:
        arm.check_name("server", name)
        _ensure_group(control, caller, group)
        wish = {"agent": which.agent_id, "agentServer": which.local}
        servers.put_server(control, caller, group, name, {"properties": {"strongroom": wish}})
    asked = instances.Asked(
        server=ServerRef(resource_group=group, name=name),
        policy=PolicyRef(vault=home, name=under.policy),
        properties={"friendlyName": name, "identityDetails": {"useSystemAssignedIdentity": True}},
        tags={},
    )
    instances.put_instance(control, caller, home, name, asked, "")
    return name


def _ensure(control: Control, caller: Caller, under: Choice) -> None:
    home, location = under.vault, control.installation.location
    _ensure_group(control, caller, home.resource_group)
    try:
        vaults.get_vault(control, caller, home)
    except NotFound:
        stores = [{"datastoreType": "VaultStore", "type": "LocallyRedundant"}]
        body: dict[str, Any] = {"location": location, "identity": {"type": "SystemAssigned"}}
        body["properties"] = {"storageSettings": stores}
        vaults.put_vault(control, caller, home, body, Conditions(), "")
    try:
        policies.get_policy(control, caller, home, under.policy)
    except NotFound:
        policies.put_policy(control, caller, home, under.policy, ten_years_policy())


def _ensure_group(control: Control, caller: Caller, group: str) -> None:
    try:
        get_group(control, caller, group)
    except NotFound:
        put_group(control, caller, group, {"location": control.installation.location})
