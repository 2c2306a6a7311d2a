"""Prove recovery points: every byte of them is read and checked."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.vault import Vault
from strongroom.cli.points.points import PointId, brief, choose
from strongroom.model.errors import Invalid, VaultError


def verify(
    name: str,
    /,
    *,
    point: PointId = "",
    every: Annotated[
        bool, Parameter(name="--all", negative="", help="Every point, the newest first.")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Read every byte of a recovery point and prove that it is what was backed up.

    Each object's digest and each frame are checked, then every file against PostgreSQL's own
    manifest, or every chunk and the head of every dump. Nothing is written. Damage is told with
    what is lost of which file, and the point is marked until it is verified well.

    ```
    strongroom verify orders
    strongroom verify orders --point 0f3d1c
    strongroom verify orders --all
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    if point and every:
        raise Invalid("give one point or all, not both", hint="Leave out --point or --all.")
    failed: list[VaultError] = []
    told: list[dict[str, Any]] = []
    with vaults.opened(common, means) as vault:
        newest = choose(vault, name, point)
        found = [brief(each) for each in vault.points(name)] if every else [newest]
        for each in found:
            try:
                told.append(_verified(vault, name, each["id"]))
            except VaultError as error:
                if not every:
                    raise
                failed.append(error)
                console.tell_error(error)
                told.append({"point": each["id"], "verified": False, "error": error.message})
    _tell(common, told)
    if failed:
        raise failed[0]


def _verified(vault: Vault, name: str, point: str) -> dict[str, Any]:
    path = f"{vault.instance(name)}/recoveryPoints/{point}/verify"
    job = str(vault.rest.post(path, {})["jobId"]).rpartition("/")[2]
    done = following.follow(vault, job, f"verification of {point[:8]}")
    read = int(done["properties"]["extendedInfo"]["dataTransferredInBytes"])
    return {"point": point, "verified": True, "job": job, "bytes": read}


def _tell(common: Common, told: list[dict[str, Any]]) -> None:
    if common.output == "json":
        console.as_json(told)
        return
    for each in told:
        if each["verified"]:
            size = console.size(each["bytes"])
            console.say(f"recovery point {each['point']} is whole: {size} were read and checked")
