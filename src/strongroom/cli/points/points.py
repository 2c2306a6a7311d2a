"""Recovery points: list them."""

import json
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.points.second import points_of
from strongroom.model.errors import NotFound

PointId = Annotated[
    str, Parameter(help="The point, or the beginning of its id. Default: the newest.")
]


def points(
    name: str,
    /,
    *,
    deleted: Annotated[
        bool, Parameter(negative="", help="Those that were deleted and can be had back.")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """List the recovery points of a protected server, newest first.

    ```
    strongroom points orders
    strongroom points orders --output json
    strongroom points orders --deleted
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        listed = vault.deleted_points(name) if deleted else vault.points(name)
        found = [brief(point) for point in listed]
    if common.output == "json":
        console.as_json(found)
        return
    empty = f"{name} has no recovery point yet: strongroom backup {name}"
    _show(found, f"no point of {name} is deleted" if deleted else empty)


def _show(found: list[dict[str, Any]], empty: str) -> None:
    for point in found:
        for lost in point["facts"].get("damaged", []):
            console.note(f"warning: {point['id']} is damaged: {lost} is not what was written")
        for strange in point["facts"].get("anomalies", []):
            console.note(f"warning: {point['id']} looks wrong: {strange}")
        for path, blocks in point["facts"].get("damaged_pages", {}).items():
            shown = ", ".join(map(str, blocks[:10]))
            console.note(f"warning: {point['id']} was taken of a damaged {path}: block {shown}")
    rows = [
        (
            point["id"],
            point["takenAt"],
            _kept_until(point),
            point["tag"],
            point["kind"],
            console.size(point["rawBytes"]),
            console.size(point["storedBytes"]),
            point["version"],
            point["verifiedAt"][:10],
            point["drilled"],
        )
        for point in found
    ]
    columns = (
        "point",
        "taken (UTC)",
        "kept until",
        "tag",
        "kind",
        "size",
        "stored",
        "version",
        "verified",
        "drilled",
    )
    console.table(columns, rows, empty)


def _kept_until(point: dict[str, Any]) -> str:
    """Its own time; a hold outlasts it, and a deletion ends it."""
    if point["purgedAt"]:
        return f"deleted, purged {point['purgedAt'][:10]}"
    held = point["facts"].get("legalHolds")
    return f"held by {', '.join(held)}" if held else str(point["expiresAt"][:10])


def brief(point: dict[str, Any]) -> dict[str, Any]:
    """ARM's recovery point as one flat object. Times are `YYYY-MM-DD HH:MM:SS` UTC."""
    told = point["properties"]
    details = told["recoveryPointDataStoresDetails"]
    facts = json.loads((details[0].get("metaData") if details else None) or "{}")
    number = int(facts.get("version_number") or facts.get("versionNumber") or 0)
    return {
        "id": point["name"],
        "takenAt": short_time(told["recoveryPointTime"]),
        "expiresAt": short_time(told["expiryTime"]),
        "tag": told["retentionTagName"],
        "kind": told["recoveryPointType"],
        "policy": told["policyName"],
        "state": told["recoveryPointState"],
        "rawBytes": int(facts.get("rawBytes", 0)),
        "storedBytes": int(facts.get("storedBytes", 0)),
        "version": f"{number // 10000}.{number % 10000}" if number else "",
        "verifiedAt": short_time(facts.get("verifiedAt")),
        "drilled": _drilled(facts.get("drill")),
        "purgedAt": short_time(told.get("deletionInfo", {}).get("scheduledPurgeTime")),
        "facts": facts,
    }


def _drilled(told: dict[str, Any] | None) -> str:
    """The verdict of the last drill, and when that was."""
    return f"{told['verdict']} {short_time(told['at'])[:10]}" if told else ""


def choose(vault: vaults.Vault, name: str, point: str, *, second: bool = False) -> dict[str, Any]:
    """The named point (any unambiguous beginning of its id), or the newest, of those there."""
    found = [brief(each) for each in points_of(vault, name, second=second)]
    if not found:
        raise NotFound(
            f"{name} has no recovery point", hint=f"Take a backup: strongroom backup {name}"
        )
    fitting = [each for each in found if each["id"].startswith(point.lower())]
    if not fitting:
        raise NotFound(
            f"{name} has no recovery point {point[:64]!r}",
            hint=f"`strongroom points {name}` lists them.",
        )
    if point and len(fitting) > 1:
        raise NotFound(
            f"{len(fitting)} recovery points of {name} begin with {point!r}",
            hint="Write more digits of the id.",
        )
    return fitting[0]
