"""What the vault promises to keep: show it, change it."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Invalid
from strongroom.model.protection.starting import limits_of
from strongroom.model.resources.soft_delete import ALWAYS_ON, OFF, ON, soft_delete_of
from strongroom.model.resources.vault import (
    ENABLED,
    GEO,
    IMMUTABILITY,
    SOFT_DELETE,
    crosses_regions,
    immutability_of,
)

_MEANS = {
    "Disabled": "what is kept may be deleted before its time",
    "Unlocked": "nothing is deleted before its time; an administrator can turn this off",
    "Locked": "nothing is deleted before its time, by nobody; this can never be turned off",
}
_DELETED = {
    OFF: "what is deleted is gone at once",
    ON: "what is deleted can be had back",
    ALWAYS_ON: "what is deleted can be had back; this can never be turned off",
}
_ACROSS = {
    "storageSettings": [{"datastoreType": "VaultStore", "type": GEO}],
    "featureSettings": {"crossRegionRestoreSettings": {"state": ENABLED}},
}
STATES = {"immutability": IMMUTABILITY, "soft delete": SOFT_DELETE}


def show(*, common: Common = COMMON, means: Given) -> None:
    """Show what the vault promises to keep.

    ```
    strongroom vault show
    ```
    """
    with vaults.opened(common, means) as vault:
        _tell(common, vault.rest.get(vault.home))


def set_vault(  # noqa: PLR0913 - an option each
    *,
    immutability: Annotated[str, Parameter(help="disabled, unlocked or locked.")] = "",
    soft_delete: Annotated[str, Parameter(help="off, on or always-on.")] = "",
    soft_delete_days: Annotated[
        float | None, Parameter(help="How long what is deleted can be had back: 14 to 180 days.")
    ] = None,
    cross_region_restore: Annotated[
        bool, Parameter(negative="", help="Allow restores from the second copy; for ever.")
    ] = False,
    backups_per_agent: Annotated[
        int | None, Parameter(help="Scheduled backups of one agent under way at once.")
    ] = None,
    backups_per_vault: Annotated[
        int | None, Parameter(help="Scheduled backups of the vault under way at once.")
    ] = None,
    confirm: Annotated[str, Parameter(help="The vault's name: for what is for ever.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Set whether what is kept can be deleted before its time, and where it is restored from.

    Immutability the storage endpoint enforces from its own ledger, by its own clock, against the
    control plane and its administrators too. Unlocked protects against mistakes. Locked is for
    ever, and so are always-on and cross-region restore (which needs a second copy).

    ```
    strongroom vault set --immutability unlocked
    strongroom vault set --immutability locked --confirm vault
    strongroom vault set --soft-delete on --soft-delete-days 30
    strongroom vault set --cross-region-restore
    strongroom vault set --backups-per-agent 2
    ```
    """
    wanted: dict[str, Any] = {}
    if immutability:
        wanted["immutabilitySettings"] = {"state": _known("immutability", immutability)}
    if soft_delete:
        wanted["softDeleteSettings"] = {"state": _known("soft delete", soft_delete)}
    if soft_delete_days is not None:
        wanted.setdefault("softDeleteSettings", {})["retentionDurationInDays"] = soft_delete_days
    more: dict[str, Any] = {**_ACROSS} if cross_region_restore else {}
    limits = {"backupsPerAgent": backups_per_agent, "backupsPerVault": backups_per_vault}
    limits = {name: number for name, number in limits.items() if number is not None}
    more |= {"strongroom": limits} if limits else {}
    if not wanted and not more:
        raise Invalid("there is nothing to set", hint="Name --immutability or --soft-delete.")
    with vaults.opened(common, means) as vault:
        before = vault.rest.get(vault.home)
        _confirm(before, wanted, confirm)
        _tell(common, _set(vault, before, wanted, more))


def _known(what: str, word: str) -> str:
    known = {state.lower(): state for state in STATES[what]}
    state = known.get(word.lower().replace("-", ""))
    if state is None:
        raise Invalid(
            f"{what} {word[:40]!r} is unknown",
            hint=f"Use one of {', '.join('always-on' if k == 'alwayson' else k for k in known)}.",
        )
    return state


def _confirm(before: dict[str, Any], wanted: dict[str, Any], confirm: str) -> None:
    """What nobody can take back is said twice."""
    if confirm == before["name"]:
        return
    hint = f"If that is meant, repeat it with --confirm {before['name']}."
    immutability = wanted.get("immutabilitySettings", {}).get("state")
    if immutability == "Locked" and immutability_of(before["properties"]) != "Locked":
        raise Invalid(
            "locked is for ever: nobody can shorten, release or turn off what it keeps", hint=hint
        )
    state = wanted.get("softDeleteSettings", {}).get("state")
    was = soft_delete_of(before["properties"])
    if state == ALWAYS_ON and was.state != ALWAYS_ON:
        raise Invalid(
            "always-on is for ever: nobody can turn soft delete off or shorten it", hint=hint
        )
    if state == OFF and was.state != OFF:
        raise Invalid("off: what is deleted from then on is gone at once", hint=hint)


def _set(
    vault: Vault, before: dict[str, Any], wanted: dict[str, Any], more: dict[str, Any]
) -> dict[str, Any]:
    if "softDeleteSettings" in wanted:
        was = before["properties"]["securitySettings"]["softDeleteSettings"]
        wanted = {**wanted, "softDeleteSettings": {**was, **wanted["softDeleteSettings"]}}
    body = {"location": before["location"], "identity": {"type": "SystemAssigned"}}
    properties = {"securitySettings": wanted, **more}
    vault.rest.put(vault.home, {**body, "properties": properties})
    return vault.rest.get(vault.home)


def _tell(common: Common, found: dict[str, Any]) -> None:
    if common.output == "json":
        console.as_json(found)
        return
    state = immutability_of(found["properties"])
    soft = soft_delete_of(found["properties"])
    days = f", for {soft.days:g} days" if soft.state != OFF else ""
    told = {"vault": found["name"], "immutability": f"{state}: {_MEANS[state]}"}
    told["soft delete"] = f"{soft.state}: {_DELETED[soft.state]}{days}"
    if crosses_regions(found["properties"]):
        told["cross-region restore"] = "Enabled: the second copy can be restored from"
    limits = limits_of(found["properties"])
    told["scheduled backups at once"] = (
        f"{limits.backups_per_agent} of an agent, {limits.backups_per_vault} of the vault"
    )
    console.facts(told)
