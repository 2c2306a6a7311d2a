"""Delete a protection with its points, or one point; have it back."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.basis.vault import Vault
from strongroom.cli.points.points import choose
from strongroom.model.errors import Invalid, NotFound

Point = Annotated[str, Parameter(help="One recovery point, by the beginning of its id.")]


def delete(
    name: str,
    /,
    *,
    point: Point = "",
    confirm: Annotated[str, Parameter(help="The server's name again: its data ends.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Delete the protection of a server with all its points, or one point.

    With soft delete, which is on unless the vault says otherwise, it can be had back until it is
    purged: after fourteen days or more. Without, it is gone at once.

    ```
    strongroom delete orders --confirm orders
    strongroom delete orders --point 018f2c --confirm orders
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        vault.need_instance(name)
        found = choose(vault, name, point)["id"] if point else ""
        what = f"recovery point {found} of {name}" if found else f"{name} with all its points"
        _confirm(name, what, confirm)
        path = vault.instance(name)
        vault.rest.delete(f"{path}/recoveryPoints/{found}" if found else path)
        info = _deletion(vault, name, found)
    told = {"server": name, "point": found or None, "purged": info.get("scheduledPurgeTime")}
    if common.output == "json":
        console.as_json(told)
    elif told["purged"] is None:
        console.say(f"{what} is deleted for good")
    else:
        again = f"strongroom undelete {name}" + (f" --point {found}" if found else "")
        until = short_time(told["purged"])
        console.say(f"{what} is deleted; until {until} UTC it can be had back: {again}")


def _confirm(name: str, what: str, confirm: str) -> None:
    if confirm != name and not console.confirmed(f"delete {what}?"):
        raise Invalid(
            f"{what} would be deleted", hint=f"If that is meant, repeat it with --confirm {name}."
        )


def _deletion(vault: Vault, name: str, point: str) -> dict[str, Any]:
    """Until when it can be had back; nothing when it cannot."""
    if point:
        listed = vault.deleted_points(name)
        found = next((each for each in listed if each["name"] == point), None)
    else:
        found = vault.rest.find(f"{vault.home}/deletedBackupInstances/{name}")
    info: dict[str, Any] = found["properties"]["deletionInfo"] if found else {}
    return info if info.get("scheduledPurgeTime") != info.get("deletionTime") else {}


def undelete(
    name: str,
    /,
    *,
    point: Point = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Have back what was deleted: a server's protection with its points, or one point.

    The protection comes back stopped: strongroom resume NAME takes backups again.

    ```
    strongroom undelete orders
    strongroom undelete orders --point 018f2c
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        if point:
            found = deleted_point(vault, name, point)
            home = f"{vault.instance(name)}/deletedRecoveryPoints/{found}"
        else:
            found, home = "", f"{vault.home}/deletedBackupInstances/{name}"
            need_deleted(vault, name)
        vault.rest.post(f"{home}/undelete", {})
    if common.output == "json":
        console.as_json({"server": name, "point": found or None})
    elif found:
        console.say(f"recovery point {found} of {name} is back")
    else:
        console.say(f"{name} is back, stopped; to take backups again: strongroom resume {name}")


def deleted_point(vault: Vault, name: str, point: str) -> str:
    """The id of one that can be had back, by its beginning. Raises NotFound."""
    listed = vault.deleted_points(name)
    fitting = [each["name"] for each in listed if each["name"].startswith(point.lower())]
    if len(fitting) != 1:
        raise NotFound(
            f"{len(fitting)} deleted recovery points of {name} begin with {point[:64]!r}",
            hint=f"`strongroom points {name} --deleted` lists them.",
        )
    return str(fitting[0])


def need_deleted(vault: Vault, name: str) -> None:
    """Raises NotFound, which names those that are deleted."""
    listed = [str(each["name"]) for each in vault.deleted_instances()]
    if name.lower() not in {each.lower() for each in listed}:
        none = "No server of this vault is deleted: `strongroom delete NAME` comes first."
        raise NotFound(
            f"no deleted server is named {name!r}",
            hint=f"There is: {', '.join(listed)}." if listed else none,
        )
