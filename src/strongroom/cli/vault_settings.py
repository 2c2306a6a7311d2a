"""What the vault promises to keep: show it, change it."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli import console
from strongroom.cli import vault as vaults
from strongroom.cli.means import COMMON, Common, Given
from strongroom.cli.vault import Vault
from strongroom.model.errors import Invalid
from strongroom.model.vault import IMMUTABILITY, immutability_of

_MEANS = {
    "Disabled": "what is kept may be deleted before its time",
    "Unlocked": "nothing is deleted before its time; an administrator can turn this off",
    "Locked": "nothing is deleted before its time, by nobody; this can never be turned off",
}


def show(*, common: Common = COMMON, means: Given) -> None:
    """Show what the vault promises to keep.

    ```
    strongroom vault show
    ```
    """
    with vaults.opened(common, means) as vault:
        _tell(common, vault.rest.get(vault.home))


def set_vault(
    *,
    immutability: Annotated[str, Parameter(help="disabled, unlocked or locked.")],
    confirm: Annotated[str, Parameter(help="The vault's name: for what is for ever.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Set whether recovery points can be deleted before their time.

    The storage endpoint enforces it from its own ledger, by its own clock, against the control
    plane and its administrators too. Unlocked protects against mistakes; locked is for ever.

    ```
    strongroom vault set --immutability unlocked
    strongroom vault set --immutability locked --confirm vault
    ```
    """
    known = {state.lower(): state for state in IMMUTABILITY}
    state = known.get(immutability.lower())
    if state is None:
        raise Invalid(
            f"immutability {immutability[:40]!r} is unknown",
            hint=f"Use one of {', '.join(known)}.",
        )
    with vaults.opened(common, means) as vault:
        before = vault.rest.get(vault.home)
        is_new = immutability_of(before["properties"]) != state
        if state == "Locked" and is_new and confirm != before["name"]:
            raise Invalid(
                "locked is for ever: nobody can shorten, release or turn off what it keeps",
                hint=f"If that is meant, repeat it with --confirm {before['name']}.",
            )
        _tell(common, _set(vault, before, state) if is_new else before)


def _set(vault: Vault, before: dict[str, Any], state: str) -> dict[str, Any]:
    settings = {"securitySettings": {"immutabilitySettings": {"state": state}}}
    body = {"location": before["location"], "properties": settings}
    vault.rest.put(vault.home, {**body, "identity": {"type": "SystemAssigned"}})
    return vault.rest.get(vault.home)


def _tell(common: Common, found: dict[str, Any]) -> None:
    if common.output == "json":
        console.as_json(found)
        return
    state = immutability_of(found["properties"])
    console.facts({"vault": found["name"], "immutability": f"{state}: {_MEANS[state]}"})
