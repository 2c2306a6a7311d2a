"""Legal holds: set, release, list."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.basis.vault import Vault
from strongroom.cli.points.points import choose
from strongroom.model.errors import NotFound

# What people read; a program is given the API's own words.
_STATES = {"Provisioning": "being set", "Succeeded": "held", "Deleting": "being released"}


def set_hold(
    name: str,
    hold: str,
    /,
    *,
    point: Annotated[
        str, Parameter(help="Hold this recovery point alone, by the beginning of its id.")
    ] = "",
    reason: Annotated[str, Parameter(help="Why, for whoever reads it years later.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Hold a server's points, and those it will have, or one point: nothing of it ends or goes.

    When the command ends, the storage endpoint keeps it in its own book. A server whose protection
    is deleted can be held too: nothing of it is purged then.

    ```
    strongroom hold set orders case-2026-117 --reason "Smith v. Jones"
    strongroom hold set orders case-2026-117 --point 018f2c
    ```

    Parameters
    ----------
    name
        The protected server.
    hold
        What the hold is called.
    """
    with vaults.opened(common, means) as vault:
        _need(vault, name, point)
        found = choose(vault, name, point)["id"] if point else None
        asked = {"recoveryPointId": found, "reason": reason}
        made = vault.rest.put(_path(vault, name, hold), {"properties": asked})
    _tell(common, [_brief(name, made)])


def release_hold(name: str, hold: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Release a legal hold: what it alone has kept ends as its policy says.

    ```
    strongroom hold release orders case-2026-117
    ```

    Parameters
    ----------
    name
        The protected server.
    hold
        What the hold is called.
    """
    with vaults.opened(common, means) as vault:
        _need(vault, name)
        if vault.rest.find(_path(vault, name, hold)) is None:
            raise NotFound(
                f"{name} has no legal hold {hold!r}", hint=f"See: strongroom hold list {name}"
            )
        vault.rest.delete(_path(vault, name, hold))
        left = [_brief(name, each) for each in vault.holds(name)]
    if common.output == "json":
        console.as_json(left)
    else:
        console.say(f"{hold} is released; {len(left)} holds are left on {name}")


def list_holds(name: str = "", /, *, common: Common = COMMON, means: Given) -> None:
    """List the legal holds on a server and its points, or all there are.

    ```
    strongroom hold list
    strongroom hold list orders
    ```

    Parameters
    ----------
    name
        The protected server; all of them when it is left out.
    """
    with vaults.opened(common, means) as vault:
        if name:
            _need(vault, name)
        names = [name] if name else [*vault.names(""), *_deleted(vault)]
        found = [_brief(each, hold) for each in names for hold in vault.holds(each)]
    _tell(common, found)


def _need(vault: Vault, name: str, point: str = "") -> None:
    """One that is deleted can be held as a whole; a point of it, once it is back."""
    if point or name.lower() not in {each.lower() for each in _deleted(vault)}:
        vault.need_instance(name)


def _deleted(vault: Vault) -> list[str]:
    return [str(each["name"]) for each in vault.deleted_instances()]


def _path(vault: Vault, name: str, hold: str) -> str:
    return f"{vault.instance(name)}/legalHolds/{hold}"


def _brief(name: str, hold: dict[str, Any]) -> dict[str, Any]:
    told = hold["properties"]
    return {
        "server": name,
        "hold": hold["name"],
        "point": told["recoveryPointId"],
        "reason": told["reason"],
        "setAt": short_time(told["setAt"]),
        "setBy": told["setBy"],
        "state": told["provisioningState"],
    }


def _tell(common: Common, found: list[dict[str, Any]]) -> None:
    if common.output == "json":
        console.as_json(found)
        return
    columns = ("server", "hold", "point", "set (UTC)", "state", "reason")
    rows = [
        (
            each["server"],
            each["hold"],
            each["point"] or "all, and those to come",
            each["setAt"],
            _STATES.get(each["state"], each["state"]),
            each["reason"],
        )
        for each in found
    ]
    console.table(columns, rows, "nothing is held: strongroom hold set NAME HOLD")
