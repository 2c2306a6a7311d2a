"""Resource guards: what needs a second person, and which vault stands under one."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.vault import Vault
from strongroom.model.resources.guard import PROXY, RESTORE


def create(
    name: str,
    /,
    *,
    exclude: Annotated[
        list[str] | None, Parameter(help="An operation that it shall not protect.")
    ] = None,
    restores: Annotated[bool, Parameter(help="Restores need an approval, too.")] = False,
    delay: Annotated[
        int | None,
        Parameter(help="Hours, 0 to 72, in which an approval can be withdrawn before it is good."),
    ] = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Make a resource guard, or change it: what it protects a second person has to approve.

    ```
    strongroom guard create second-person
    strongroom guard create second-person --delay 24
    ```

    Parameters
    ----------
    name
        The guard.
    """
    with vaults.opened(common, means) as vault:
        vault.ensure_group()
        left_out = [*(exclude or []), *([] if restores else [RESTORE.name])]
        asked: dict[str, Any] = {"vaultCriticalOperationExclusionList": left_out}
        if delay is not None:
            asked["strongroom"] = {"approvalDelayHours": delay}
        body = {"location": vault.connection.location, "properties": asked}
        _tell(common, vault.rest.put(_guard(vault, name), body))


def list_guards(*, common: Common = COMMON, means: Given) -> None:
    """List the resource guards, and the one that the vault stands under.

    ```
    strongroom guard list
    ```
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.list(f"/subscriptions/{vault.connection.subscription}/{_GUARDS}")
        proxy = vault.rest.find(_proxy(vault))
    above = proxy["properties"]["resourceGuardResourceId"].lower() if proxy else ""
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (
            each["name"],
            str(len(each["properties"]["resourceGuardOperations"])),
            "the vault stands under it" if each["id"].lower() == above else "",
        )
        for each in found
    ]
    console.table(("guard", "protects", ""), rows, "no guard: strongroom guard create NAME")


def protect(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Put the vault under a resource guard. Only with a second person's approval it leaves again.

    ```
    strongroom guard protect second-person
    ```

    Parameters
    ----------
    name
        The guard.
    """
    with vaults.opened(common, means) as vault:
        asked = {"properties": {"resourceGuardResourceId": _guard(vault, name)}}
        vault.rest.put(_proxy(vault), asked)
        _tell(common, vault.rest.get(_guard(vault, name)))


def release(*, common: Common = COMMON, means: Given) -> None:
    """Take the vault from under its guard: a second person has to approve.

    ```
    strongroom guard release
    ```
    """
    with vaults.opened(common, means) as vault:
        gone = vault.rest.delete(_proxy(vault))
    console.note("the vault stands under no guard" if gone else "it stood under none")


_GUARDS = "providers/Microsoft.DataProtection/resourceGuards"


def _guard(vault: Vault, name: str) -> str:
    return f"{vault.group}/{_GUARDS}/{name}"


def _proxy(vault: Vault) -> str:
    return f"{vault.home}/backupResourceGuardProxies/{PROXY}"


def _tell(common: Common, found: dict[str, Any]) -> None:
    if common.output == "json":
        console.as_json(found)
        return
    told = found["properties"]
    names = [each["vaultCriticalOperation"] for each in told["resourceGuardOperations"]]
    delay = told["strongroom"]["approvalDelayHours"]
    good = f"{delay} hours after they are given" if delay else "at once"
    facts = {"guard": found["name"], "protects": "\n".join(names)}
    console.facts({**facts, "approvals are good": good})
