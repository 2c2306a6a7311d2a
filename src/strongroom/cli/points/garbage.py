"""Collect what no recovery point needs, and say how much it is."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.vault import Vault


def gc(
    name: str = "",
    /,
    *,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Say what there is, and change nothing.")
    ] = False,
    grace_days: Annotated[
        float, Parameter(help="Delete what nobody has needed for so many days.")
    ] = 7.0,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Collect the garbage of one protected server, or of all.

    It runs by itself every day. What no recovery point needs is noted first, and deleted when it
    has been so for the days of grace.

    ```
    strongroom gc --dry-run
    strongroom gc orders
    ```

    Parameters
    ----------
    name
        The protected server; all of them when it is left out.
    """
    with vaults.opened(common, means) as vault:
        told = [
            {"server": each} | _collected(vault, each, dry_run=dry_run, days=grace_days)
            for each in vault.names(name)
        ]
    if common.output == "json":
        console.as_json(told)
        return
    rows = [
        (
            each["server"],
            f"{each['garbageObjects']} ({console.size(each['garbageBytes'])})",
            str(each["ripeObjects"]),
            f"{each['freedObjects']} ({console.size(each['freedBytes'])})",
            str(each["retainedObjects"]),
        )
        for each in told
    ]
    columns = ("server", "garbage", "past its grace", "freed", "kept by the store")
    console.table(columns, rows, "nothing is protected yet: strongroom protect CONNINFO")


def _collected(vault: Vault, name: str, *, dry_run: bool, days: float) -> dict[str, Any]:
    asked = {"dryRun": dry_run, "graceDays": days}
    begun = vault.rest.post(f"{vault.instance(name)}/collectGarbage", asked)
    job = str(begun["jobId"]).rpartition("/")[2]
    done = following.follow(vault, job, f"garbage of {name}")
    details = done["properties"]["extendedInfo"]["additionalDetails"]
    return {
        "job": job,
        "garbageObjects": int(details["Garbage Objects"]),
        "garbageBytes": int(details["Garbage Bytes"]),
        "ripeObjects": int(details["Ripe Objects"]),
        "freedObjects": int(details["Freed Objects"]),
        "freedBytes": int(details["Freed Bytes"]),
        "retainedObjects": int(details["Retained Objects"]),
    }
