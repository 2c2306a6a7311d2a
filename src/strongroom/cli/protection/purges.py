"""Purge what was deleted before its time."""

from typing import Annotated

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.basis.vault import Vault
from strongroom.cli.protection.deletions import Point, deleted_point, need_deleted
from strongroom.model.errors import Invalid

PATIENCE = 60.0  # seconds for what is purged to be gone


def purge(
    name: str,
    /,
    *,
    point: Point = "",
    confirm: Annotated[str, Parameter(help="The server's name again: nothing comes back.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Purge a deleted server, or one deleted point, before its time: nothing brings it back.

    Only where soft delete is not always-on, and no hold or lock keeps it. Where a guard protects
    the vault a second person approves it first.

    ```
    strongroom purge orders --confirm orders
    strongroom purge orders --point 018f2c --confirm orders
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
            what = f"recovery point {found} of {name}"
        else:
            need_deleted(vault, name)
            found, home = "", f"{vault.home}/deletedBackupInstances/{name}"
            what = f"{name} with all its points"
        if confirm != name and not console.confirmed(f"purge {what} for ever?"):
            raise Invalid(
                f"{what} would be purged for ever",
                hint=f"If that is meant, repeat it with --confirm {name}.",
            )
        vault.rest.post(f"{home}/purge", {})
        gone = _is_gone(vault, name, found, means)
    if common.output == "json":
        console.as_json({"server": name, "point": found or None, "gone": gone})
    elif gone:
        console.say(f"{what} is gone for good")
    else:
        console.say(f"{what} is on its way out: storage keeps some of it for now, or is away")


def _is_gone(vault: Vault, name: str, point: str, means: Means) -> bool:
    end = means.clock.monotonic() + PATIENCE
    while means.clock.monotonic() < end:
        listed = vault.deleted_points(name) if point else vault.deleted_instances()
        if (point or name).lower() not in {str(each["name"]).lower() for each in listed}:
            return True
        means.clock.sleep(0.2)
    return False
