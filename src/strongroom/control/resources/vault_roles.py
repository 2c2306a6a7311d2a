"""What a vault's identity lacks, told by a refusal, and given by whoever may give roles there."""

from dataclasses import dataclass

from strongroom.catalog.identities import role_assignments as assignments
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.identities import role_assignments
from strongroom.control.resources import vaults
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import VaultError
from strongroom.model.identities.access import BUILT_IN, Caller, RoleDefinition, scope_contains
from strongroom.model.ids import uuid4


@dataclass(frozen=True, slots=True)
class Lack:
    """One role at one scope."""

    role: RoleDefinition
    scope: str


@dataclass(frozen=True, slots=True)
class Lacks:
    """All that a vault's identity lacks, and whether the caller may give it."""

    vault: str
    principal: str
    roles: tuple[Lack, ...]
    may_give: bool


def lacks_of(
    control: Control, caller: Caller, vault: VaultRef, error: VaultError | None
) -> Lacks | None:
    """What a refusal names as missing and is not there yet; None where that is nothing.

    None as well for whoever may not look at the vault.
    """
    missing = [] if error is None else error.facts.get("missing") or []
    if not missing:
        return None
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        if not rights.may(vaults.READ, arm.vault_id_of(_subscription(control), vault)):
            return None
        row = vaults.need_vault(connection, vault)
        held = assignments.list_of_principal(connection, row["principal_id"])
        roles = tuple(
            Lack(BUILT_IN[each["roleId"]], each["scope"])
            for each in missing
            if not any(
                had["role_id"] == each["roleId"] and scope_contains(had["scope"], each["scope"])
                for had in held
            )
        )
        may = all(rights.may(role_assignments.WRITE, each.scope) for each in roles)
    return Lacks(row["name"], row["principal_id"], roles, may) if roles else None


def _subscription(control: Control) -> str:
    return control.installation.subscription_id


def give(control: Control, caller: Caller, vault: VaultRef, error: VaultError) -> None:
    """Give the vault's identity what the refusal says that it lacks. Audited, one by one.

    Raises Forbidden, and what a second person must approve.
    """
    found = lacks_of(control, caller, vault, error)
    if found is None:
        return
    for each in found.roles:
        definition = f"{arm.subscription_id_of(_subscription(control))}/providers"
        definition += f"/Microsoft.Authorization/roleDefinitions/{each.role.id}"
        asked = {"roleDefinitionId": definition, "principalId": found.principal}
        guid = str(uuid4(control.chance))
        role_assignments.put_assignment(control, caller, each.scope, guid, asked)
